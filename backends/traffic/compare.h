// How far a shadow's output is from the answer. Free of Triton.
#pragma once

#include <cstdint>

#include "tensor_view.h"

namespace nereid {

struct Difference {
  bool comparable = false;   // numbers of one type and shape
  double max_abs = 0;        // over all elements; NaN against a number is infinite
  std::uint64_t rows = 0;    // along the last dimension; a scalar is one row
  std::uint64_t agreed = 0;  // rows whose largest element is at the same place (the first, if several)
};

Difference Compare(const TensorView& answer, const TensorView& shadow) noexcept;

}  // namespace nereid
