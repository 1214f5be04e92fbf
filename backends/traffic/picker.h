// Chooses the arm of each request from the slot table. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "policy.h"

namespace nereid {

class Picker {
 public:
  // `seed` decides where in the cycle the first request falls and how the cycle is shuffled. It
  // should differ from load to load: a router reloaded often would else favour the same arms.
  Picker(const std::vector<std::uint8_t>& slots, std::uint64_t seed);

  // The arm of the next unsticky request. Each cycle of kSlots calls gives every arm exactly its
  // number of slots. Safe from any thread; one atomic add, no allocation.
  std::uint8_t Next() noexcept { return At(position_.fetch_add(1, std::memory_order_relaxed)); }

  // The arm that the request at `position` gets: what Next() counts up through.
  std::uint8_t At(std::uint64_t position) const noexcept {
    // Each cycle begins one step further on than the one before: callers that take turns (the
    // usual case of a few busy clients) would else meet the same part of the cycle for ever.
    return cycle_[(position % kSlots + position / kSlots) % kSlots];
  }

 private:
  std::vector<std::uint8_t> cycle_;  // the arm of every slot, in the order of picking
  alignas(64) std::atomic<std::uint64_t> position_{0};
};

}  // namespace nereid
