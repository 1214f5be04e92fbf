#include "compare.h"

#include <cmath>
#include <limits>
#include <type_traits>

namespace nereid {
namespace {

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
