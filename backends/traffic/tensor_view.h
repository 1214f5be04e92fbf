// A tensor in host memory, and the numbers in it. Free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nereid {

// Triton's numbers of the types.
enum Datatype {
  kBool = 1, kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64,
  kFp16, kFp32, kFp64, kBytes, kBf16,
};

// `data` need not be aligned.
struct TensorView {
  int datatype = 0;
  const std::int64_t* shape = nullptr;
  std::size_t dims = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

// Of one element; 0 where elements are no numbers.
std::size_t SizeOf(int datatype);

// Elements that the bytes hold, if the shape says the same.
bool Fits(const TensorView& tensor, std::size_t element, std::uint64_t* elements);

// IEEE 754 half precision: 5 bits of exponent, 10 of fraction.
float FromHalf(std::uint16_t half);
// The upper half of a float.
float FromBrain(std::uint16_t brain);

// How a kind of number is stored, and what it is worth.
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
  static float Of(std::uint16_t stored) { return FromBrain(stored); }
};

template <typename Kind>
auto At(const void* data, std::uint64_t index) {
  typename Kind::Stored stored;
  std::memcpy(
      &stored, static_cast<const char*>(data) + index * sizeof stored, sizeof stored);
  return Kind::Of(stored);
}

}  // namespace nereid
