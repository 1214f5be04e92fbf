#include "key_set.h"

namespace nereid {

bool KeySet::First(std::uint64_t key) noexcept {
  if (key == 0) key = 1;
  // The arm's own keys have the upper part of their hashes alike: that chose the arm.
  for (std::size_t i = 0; i < kProbes; ++i) {
    std::atomic<std::uint64_t>& place = keys_[(key + i) & (kSize - 1)];
    std::uint64_t found = place.load(std::memory_order_relaxed);
    if (found == 0 && place.compare_exchange_strong(found, key, std::memory_order_relaxed)) {
      return true;
    }
    if (found == key) return false;
  }
  return false;
}

}  // namespace nereid
