#include "slow_start.h"

#include <algorithm>
#include <cmath>

namespace nereid {
namespace {

constexpr double kLeastShare = 0.10;

}  // namespace

double RampShare(const SlowStartRule& rule, std::uint64_t elapsed_ns) noexcept {
  if (elapsed_ns >= rule.window_ns) return 1;
  const double time = static_cast<double>(elapsed_ns) / static_cast<double>(rule.window_ns);
  // Most ramps are straight, and pow costs as much as all the rest of a decision.
  const double share = rule.aggression == 1 ? time : std::pow(time, 1 / rule.aggression);
  return std::max(kLeastShare, share);
}

}  // namespace nereid
