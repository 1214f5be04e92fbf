// So many of 10,000 requests, evenly spread. Free of Triton.
#pragma once

#include <cstdint>

namespace nereid {

constexpr std::uint32_t kParts = 10'000;

// Whether the `turn`-th request is among `parts` of 10,000: evenly spread, not only on average.
inline bool Sampled(std::uint64_t turn, std::uint32_t parts) {
  constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15ULL;  // of 2^64
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((Wide{turn * kGoldenRatio} * kParts) >> 64) < parts;
}

}  // namespace nereid
