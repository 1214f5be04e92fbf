// Chooses the arm of each request from the slot table. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "policy.h"

namespace nereid {

class Picker {
 public:
  // `start` is where in the cycle the first request falls. It should differ from load to load:
  // a router reloaded often would else favour the arms of the first slots.
  Picker(std::vector<std::uint8_t> slots, std::uint64_t start);

  // The arm of the next unsticky request. Any kSlots calls in a row from a multiple of kSlots give
  // each arm exactly its number of slots. Safe from any thread; one atomic add, no allocation.
  std::uint8_t Next() noexcept { return At(position_.fetch_add(1, std::memory_order_relaxed)); }

  // The arm that the request at `position` gets: what Next() counts up through.
  std::uint8_t At(std::uint64_t position) const noexcept;

 private:
  std::vector<std::uint8_t> slots_;
  std::uint64_t start_;
  alignas(64) std::atomic<std::uint64_t> position_{0};
};

}  // namespace nereid
