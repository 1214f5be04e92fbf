#include "tensor_view.h"

#include <limits>

namespace nereid {
namespace {

float FloatOf(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

std::size_t SizeOf(int datatype) {
  switch (datatype) {
    case kBool: case kUint8: case kInt8: return 1;
    case kUint16: case kInt16: case kFp16: case kBf16: return 2;
    case kUint32: case kInt32: case kFp32: return 4;
    case kUint64: case kInt64: case kFp64: return 8;
    default: return 0;
  }
}

bool Fits(const TensorView& tensor, std::size_t element, std::uint64_t* elements) {
  *elements = 1;
  for (std::size_t i = 0; i < tensor.dims; ++i) {
    if (tensor.shape[i] < 0) return false;
    const auto dim = static_cast<std::uint64_t>(tensor.shape[i]);
    if (dim != 0 && *elements > std::numeric_limits<std::uint64_t>::max() / dim) return false;
    *elements *= dim;
  }
  return tensor.bytes % element == 0 && tensor.bytes / element == *elements;
}

float FromHalf(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0x1F) return FloatOf(sign | 0x7F800000U | fraction << 13);
  if (exponent != 0) return FloatOf(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24F;
  return sign != 0 ? -small : small;
}

float FromBrain(std::uint16_t brain) {
  return FloatOf(static_cast<std::uint32_t>(brain) << 16);
}

}  // namespace nereid
