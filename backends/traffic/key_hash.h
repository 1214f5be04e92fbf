// Where a sticky key falls: XXH64, and the slot it stands for. Free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nereid {

// The second hash of a key is seeded apart from the first: which keys a slow start lets through must
// not depend on which slot they have.
constexpr std::uint64_t kThinningSeed = 0x9e3779b97f4a7c15ULL;

// XXH64 of the bytes, as the public algorithm defines it (the same on every byte order).
std::uint64_t Xxh64(std::string_view bytes, std::uint64_t seed) noexcept;

// The slot, 0 to kSlots - 1, of a hash: its upper part scaled, so without a modulo's bias.
std::size_t SlotOf(std::uint64_t hash) noexcept;

// `bits` as a fraction of 2^64: in [0, 1), up to rounding.
inline double FractionOf(std::uint64_t bits) noexcept {
  return static_cast<double>(bits) * 0x1p-64;
}

// The fraction of n * golden ratio: a sequence so even that any stretch of it hits a share nearly
// exactly. In whole numbers, so that it is as good after 10^15 requests as after ten.
inline double EvenlySpread(std::uint64_t n) noexcept {
  return FractionOf(n * 0x9e3779b97f4a7c15ULL);
}

}  // namespace nereid
