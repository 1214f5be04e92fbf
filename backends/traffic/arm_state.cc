#include "arm_state.h"

#include <algorithm>

namespace nereid {

bool ArmState::TryBegin(std::uint32_t max_in_flight) noexcept {
  if (max_in_flight == 0) {
    in_flight.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  std::int64_t running = in_flight.load(std::memory_order_relaxed);
  do {
    if (running >= static_cast<std::int64_t>(max_in_flight)) return false;
  } while (!in_flight.compare_exchange_weak(running, running + 1, std::memory_order_relaxed));
  return true;
}

bool ArmState::Judge(
    const Policy& policy, Judgement judgement, std::uint64_t latency_ns, std::uint64_t now_ns,
    bool probe) noexcept {
  bool opened = false;
  if (judgement == Judgement::kNothing) {
    breaker.GiveBack(probe);
  } else {
    const bool bad = judgement == Judgement::kBad;
    if (bad) {
      latency.RecordPeak(latency_ns, now_ns);
    } else {
      latency.Record(latency_ns, now_ns);
    }
    if (policy.breaker && !primary.load(std::memory_order_relaxed)) {
      const Breaker::Verdict verdict =
          breaker.Record(*policy.breaker, bad, latency_ns, now_ns, probe);
      opened = verdict.opened;
      if (verdict.closed && policy.slow_start) {
        ramp_from_ns.store(std::max<std::uint64_t>(1, now_ns), std::memory_order_relaxed);
      }
    } else {
      breaker.GiveBack(probe);
    }
  }
  return opened;
}

std::shared_ptr<Grant> ArmState::Adopt(
    const Policy& policy, std::size_t arm, std::int64_t now_unix_ms, std::uint64_t now_ns,
    bool first_ever) {
  const bool main = arm == policy.primary;
  primary.store(main, std::memory_order_relaxed);
  // What is never asked must not stay open: it would look ejected, and be so when it is asked again.
  if (main || !policy.breaker) breaker.Reset();

  const bool receives =
      std::find(policy.slots.begin(), policy.slots.end(), arm) != policy.slots.end();
  const bool received = receiving.exchange(receives, std::memory_order_relaxed);
  if (main || !policy.slow_start || !receives) {
    ramp_from_ns.store(0, std::memory_order_relaxed);
  } else if (!received && !first_ever) {
    ramp_from_ns.store(std::max<std::uint64_t>(1, now_ns), std::memory_order_relaxed);
  }
  return allowance.Adopt(policy.arms[arm].allowance, now_unix_ms, now_ns);
}

}  // namespace nereid
