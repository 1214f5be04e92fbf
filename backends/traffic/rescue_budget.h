// How many requests may be replayed at once. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>

#include "policy.h"

namespace nereid {

// Rescues in flight stay below max(floor, budget * requests in flight), so that a bad canary does not
// double the primary's load. One for each endpoint. Lock-free.
class RescueBudget {
 public:
  void Began() noexcept { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void Ended() noexcept { in_flight_.fetch_sub(1, std::memory_order_relaxed); }

  // Takes one rescue; false when the budget is used up. `unbounded`: the failed arm's breaker is
  // taking it out already, so what is left of its failures is few.
  bool TryRescue(const RescueRule& rule, bool unbounded) noexcept;
  void RescueEnded() noexcept { rescues_.fetch_sub(1, std::memory_order_relaxed); }

  std::int64_t in_flight() const noexcept { return in_flight_.load(std::memory_order_relaxed); }
  std::int64_t rescues() const noexcept { return rescues_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<std::int64_t> in_flight_{0};
  alignas(64) std::atomic<std::int64_t> rescues_{0};
};

}  // namespace nereid
