// What is known of one arm, from load to load. Free of Triton.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "allowance.h"
#include "breaker.h"
#include "latency.h"
#include "policy.h"

namespace nereid {

// Kept by the backend for each endpoint and arm, so a reload of the router loses nothing. Fields are
// on cache lines of their own by who writes them when: each decision, each answer, or hardly ever.
struct ArmState {
  enum class Judgement { kGood, kBad, kNothing };

  // Counts the attempt in; false when the arm is full. 0: no limit.
  bool TryBegin(std::uint32_t max_in_flight) noexcept;

  // Tells breaker and latency what became of an attempt. True when it opened the breaker. kNothing
  // (cancelled, or the caller's own mistake) says nothing about the arm. The attempt's grant is told
  // by Grant::Settle.
  bool Judge(
      const Policy& policy, Judgement judgement, std::uint64_t latency_ns, std::uint64_t now_ns,
      bool probe) noexcept;

  // Counts the attempt out. An attempt that was given up is judged long before it ends, and takes up
  // the arm until then.
  void Finish() noexcept { in_flight.fetch_sub(1, std::memory_order_relaxed); }

  // The endpoint's router was loaded with this policy (never call it for a pinned version: its policy
  // has no breaker and no allowance, and would lift those of the endpoint). A ramp begins if the arm
  // has slots now and had none before, unless the endpoint had no router before (`first_ever`): then
  // there is nothing warm that could take over. Returns the grant in force, null for none.
  std::shared_ptr<Grant> Adopt(
      const Policy& policy, std::size_t arm, std::int64_t now_unix_ms, std::uint64_t now_ns,
      bool first_ever = false);

  // A router was loaded that does not have this arm: it will ramp when it comes back.
  void Leave() noexcept { receiving.store(false, std::memory_order_relaxed); }

  Breaker breaker;
  PeakEwma latency;
  ArmAllowance allowance;
  alignas(64) std::atomic<std::int64_t> in_flight{0};
  alignas(64) std::atomic<std::uint64_t> turn{0};  // unsticky requests thinned by the ramp so far
  alignas(64) std::atomic<std::uint64_t> ramp_from_ns{0};  // 0: no ramp
  std::atomic<bool> receiving{false};                      // the policy in force gives it slots
  std::atomic<bool> primary{false};                        // never ejected
};

}  // namespace nereid
