#include "picker.h"

#include <utility>

namespace nereid {
namespace {

// Each cycle walks all slots with one of these strides. Each is coprime to 10,000 (odd, and no
// multiple of 5), so a walk meets every slot once. Each stands near 10,000 times an irrational that
// is hard to approximate (golden, silver and bronze mean, root of 3), so a run of neighbouring slots
// is met at nearly even distances. The stride changes from cycle to cycle, so callers that take turns
// do not fall into step with the table.
constexpr std::uint64_t kStrides[] = {6181, 4143, 3027, 7321};
constexpr std::uint64_t kStrideCount = sizeof(kStrides) / sizeof(kStrides[0]);

}  // namespace

Picker::Picker(std::vector<std::uint8_t> slots, std::uint64_t start)
    : slots_(std::move(slots)), start_(start % kSlots) {}

std::uint8_t Picker::At(std::uint64_t position) const noexcept {
  const std::uint64_t cycle = position / kSlots;
  const std::uint64_t step = position % kSlots;
  return slots_[(start_ + step * kStrides[cycle % kStrideCount]) % kSlots];
}

}  // namespace nereid
