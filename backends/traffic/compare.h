// How far a shadow's output is from the answer. Free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nereid {

// A tensor in host memory; `data` need not be aligned.
struct TensorView {
  int datatype = 0;  // Triton's numbers: BOOL 1, UINT8..64 2..5, INT8..64 6..9, FP16 10, FP32 11,
                     // FP64 12, BYTES 13, BF16 14
  const std::int64_t* shape = nullptr;
  std::size_t dims = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

struct Difference {
  bool comparable = false;   // numbers of one type and shape
  double max_abs = 0;        // over all elements; NaN against a number is infinite
  std::uint64_t rows = 0;    // along the last dimension; a scalar is one row
  std::uint64_t agreed = 0;  // rows whose largest element is at the same place (the first, if several)
};

Difference Compare(const TensorView& answer, const TensorView& shadow) noexcept;

}  // namespace nereid
