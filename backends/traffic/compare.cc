#include "compare.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace nereid {
namespace {

// Triton's numbers of the types.
enum Datatype {
  kBool = 1, kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64,
  kFp16, kFp32, kFp64, kBytes, kBf16,
};

float FloatOf(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// IEEE 754 half precision: 5 bits of exponent, 10 of fraction.
float FromHalf(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0x1F) return FloatOf(sign | 0x7F800000U | fraction << 13);
  if (exponent != 0) return FloatOf(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24F;
  return sign != 0 ? -small : small;
}

template <typename T>
struct Plain {
  using Stored = T;
  static T Of(T stored) { return stored; }
};
struct Bool {
  using Stored = std::uint8_t;
  static std::uint8_t Of(std::uint8_t stored) { return stored != 0 ? 1 : 0; }
};
struct Half {
  using Stored = std::uint16_t;
  static float Of(std::uint16_t stored) { return FromHalf(stored); }
};
struct Brain {
  using Stored = std::uint16_t;
  static float Of(std::uint16_t stored) { return FloatOf(static_cast<std::uint32_t>(stored) << 16); }
};

template <typename Kind>
auto At(const void* data, std::uint64_t index) {
  typename Kind::Stored stored;
  std::memcpy(
      &stored, static_cast<const char*>(data) + index * sizeof stored, sizeof stored);
  return Kind::Of(stored);
}

template <typename T>
double Distance(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const auto high = static_cast<std::uint64_t>(a > b ? a : b);
    const auto low = static_cast<std::uint64_t>(a > b ? b : a);
    return static_cast<double>(high - low);  // right for signed ones too: modulo 2^64
  } else {
    if (a == b) return 0;  // infinities too
    const double distance = std::fabs(static_cast<double>(a) - static_cast<double>(b));
    if (!std::isnan(distance)) return distance;
    return std::isnan(a) && std::isnan(b) ? 0 : std::numeric_limits<double>::infinity();
  }
}

// NaN counts as the largest, as NumPy has it: an arm that answers NaN must not agree by chance.
template <typename T>
bool Larger(T a, T b) {
  if constexpr (!std::is_integral_v<T>) {
    if (std::isnan(a)) return !std::isnan(b);
  }
  return a > b;
}

template <typename Kind>
void CompareRows(
    const void* answer, const void* shadow, std::uint64_t width, Difference* difference) {
  for (std::uint64_t row = 0; row < difference->rows; ++row) {
    const std::uint64_t start = row * width;
    std::uint64_t top_answer = start;
    std::uint64_t top_shadow = start;
    for (std::uint64_t i = start; i < start + width; ++i) {
      const auto a = At<Kind>(answer, i);
      const auto b = At<Kind>(shadow, i);
      const double distance = Distance(a, b);
      if (distance > difference->max_abs) difference->max_abs = distance;
      if (Larger(a, At<Kind>(answer, top_answer))) top_answer = i;
      if (Larger(b, At<Kind>(shadow, top_shadow))) top_shadow = i;
    }
    if (top_answer == top_shadow) ++difference->agreed;
  }
}

std::size_t SizeOf(int datatype) {
  switch (datatype) {
    case kBool: case kUint8: case kInt8: return 1;
    case kUint16: case kInt16: case kFp16: case kBf16: return 2;
    case kUint32: case kInt32: case kFp32: return 4;
    case kUint64: case kInt64: case kFp64: return 8;
    default: return 0;
  }
}

void CompareAs(
    int datatype, const void* answer, const void* shadow, std::uint64_t width,
    Difference* difference) {
  switch (datatype) {
    case kBool: return CompareRows<Bool>(answer, shadow, width, difference);
    case kUint8: return CompareRows<Plain<std::uint8_t>>(answer, shadow, width, difference);
    case kUint16: return CompareRows<Plain<std::uint16_t>>(answer, shadow, width, difference);
    case kUint32: return CompareRows<Plain<std::uint32_t>>(answer, shadow, width, difference);
    case kUint64: return CompareRows<Plain<std::uint64_t>>(answer, shadow, width, difference);
    case kInt8: return CompareRows<Plain<std::int8_t>>(answer, shadow, width, difference);
    case kInt16: return CompareRows<Plain<std::int16_t>>(answer, shadow, width, difference);
    case kInt32: return CompareRows<Plain<std::int32_t>>(answer, shadow, width, difference);
    case kInt64: return CompareRows<Plain<std::int64_t>>(answer, shadow, width, difference);
    case kFp16: return CompareRows<Half>(answer, shadow, width, difference);
    case kBf16: return CompareRows<Brain>(answer, shadow, width, difference);
    case kFp32: return CompareRows<Plain<float>>(answer, shadow, width, difference);
    case kFp64: return CompareRows<Plain<double>>(answer, shadow, width, difference);
    default: return;
  }
}

// Elements that the bytes hold, if the shape says the same.
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

}  // namespace

Difference Compare(const TensorView& answer, const TensorView& shadow) noexcept {
  Difference difference;
  const std::size_t element = SizeOf(answer.datatype);
  if (element == 0 || answer.datatype != shadow.datatype || answer.dims != shadow.dims) {
    return difference;
  }
  for (std::size_t i = 0; i < answer.dims; ++i) {
    if (answer.shape[i] != shadow.shape[i]) return difference;
  }
  std::uint64_t elements = 0;
  if (!Fits(answer, element, &elements) || shadow.bytes != answer.bytes) return difference;
  difference.comparable = true;
  if (elements == 0) return difference;
  const std::uint64_t width =
      answer.dims == 0 ? 1 : static_cast<std::uint64_t>(answer.shape[answer.dims - 1]);
  difference.rows = elements / width;
  CompareAs(answer.datatype, answer.data, shadow.data, width, &difference);
  return difference;
}

}  // namespace nereid
