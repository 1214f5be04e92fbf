#include "picker.h"

#include <algorithm>
#include <utility>

namespace nereid {
namespace {

// Coprime to kSlots, so that the walk meets every slot once, and near kSlots / golden ratio, so that
// it meets every run of neighbouring slots at nearly even distances.
constexpr std::uint64_t kStride = 6181;

// Steps shuffled among themselves. The bare walk alternates between odd and even slots (any stride
// that meets all of them does), so two callers taking turns could each see one half of the table.
constexpr std::size_t kBlock = 10;

class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace

Picker::Picker(const std::vector<std::uint8_t>& slots, std::uint64_t seed) : cycle_(kSlots) {
  SplitMix random(seed);
  const std::uint64_t start = random.Next() % kSlots;
  for (std::size_t step = 0; step < kSlots; ++step) {
    cycle_[step] = slots[(start + step * kStride) % kSlots];
  }
  for (std::size_t block = 0; block < kSlots; block += kBlock) {
    for (std::size_t left = kBlock - 1; left > 0; --left) {
      std::swap(cycle_[block + left], cycle_[block + random.Next() % (left + 1)]);
    }
  }
}

}  // namespace nereid
