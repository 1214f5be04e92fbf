#include "key_hash.h"

#include <cstring>

#include "policy.h"

namespace nereid {
namespace {

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9ULL;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63ULL;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5ULL;

inline std::uint64_t Rotate(std::uint64_t value, int bits) {
  return (value << bits) | (value >> (64 - bits));
}

// The algorithm reads little-endian words, whatever the machine does.
inline std::uint64_t Read64(const char* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

inline std::uint32_t Read32(const char* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  return value;
}

inline std::uint64_t Round(std::uint64_t lane, std::uint64_t input) {
  return Rotate(lane + input * kPrime2, 31) * kPrime1;
}

inline std::uint64_t Merge(std::uint64_t hash, std::uint64_t lane) {
  return (hash ^ Round(0, lane)) * kPrime1 + kPrime4;
}

std::uint64_t HashStripes(const char** at, const char* end, std::uint64_t seed) {
  std::uint64_t lane1 = seed + kPrime1 + kPrime2;
  std::uint64_t lane2 = seed + kPrime2;
  std::uint64_t lane3 = seed;
  std::uint64_t lane4 = seed - kPrime1;
  while (end - *at >= 32) {
    lane1 = Round(lane1, Read64(*at));
    lane2 = Round(lane2, Read64(*at + 8));
    lane3 = Round(lane3, Read64(*at + 16));
    lane4 = Round(lane4, Read64(*at + 24));
    *at += 32;
  }
  std::uint64_t hash = Rotate(lane1, 1) + Rotate(lane2, 7) + Rotate(lane3, 12) + Rotate(lane4, 18);
  hash = Merge(hash, lane1);
  hash = Merge(hash, lane2);
  hash = Merge(hash, lane3);
  return Merge(hash, lane4);
}

}  // namespace

std::uint64_t Xxh64(std::string_view bytes, std::uint64_t seed) noexcept {
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  std::uint64_t hash = bytes.size() >= 32 ? HashStripes(&at, end, seed) : seed + kPrime5;
  hash += bytes.size();
  for (; end - at >= 8; at += 8) {
    hash = Rotate(hash ^ Round(0, Read64(at)), 27) * kPrime1 + kPrime4;
  }
  if (end - at >= 4) {
    hash = Rotate(hash ^ (Read32(at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at != end; ++at) {
    hash = Rotate(hash ^ (static_cast<unsigned char>(*at) * kPrime5), 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

std::size_t SlotOf(std::uint64_t hash) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>((static_cast<Wide>(hash) * kSlots) >> 64);
}

}  // namespace nereid
