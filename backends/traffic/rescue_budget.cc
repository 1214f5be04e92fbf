#include "rescue_budget.h"

#include <algorithm>

namespace nereid {

bool RescueBudget::TryRescue(const RescueRule& rule, bool unbounded) noexcept {
  if (unbounded) {
    rescues_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // Both sides times 10,000, in whole numbers.
  const std::int64_t parts = 10'000;
  const std::int64_t bound =
      std::max(rule.floor * parts, rule.budget_parts * std::max<std::int64_t>(0, in_flight()));
  std::int64_t rescues = rescues_.load(std::memory_order_relaxed);
  do {
    if (rescues * parts >= bound) return false;
  } while (!rescues_.compare_exchange_weak(rescues, rescues + 1, std::memory_order_relaxed));
  return true;
}

}  // namespace nereid
