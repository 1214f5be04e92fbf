// Takes an arm out while it fails, and lets it back in by probes. Free of Triton.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "policy.h"

namespace nereid {

// Closed: everything passes. Open: nothing does, for min(open * ejections, max_open). Half-open: one
// probe at a time; 3 good ones in a row close it, a bad one opens it again, for longer. Each full
// `open` period spent closed takes one ejection off the count.
//
// Times are of a steady clock. Safe from any thread, lock-free: the whole state is one word.
class Breaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  struct Pass {
    bool allowed = false;
    bool probe = false;  // the only one in flight: must end in Record or GiveBack
  };

  struct Verdict {
    bool opened = false;
    bool closed = false;
  };

  // May a request go to the arm? The answer may take the one probe there is.
  Pass Ask(const BreakerRule& rule, std::uint64_t now_ns) noexcept;

  // What Ask would say now, without taking anything.
  bool WouldAllow(std::uint64_t now_ns) const noexcept;

  // What became of an attempt. While the breaker is not closed, only its probe says anything.
  Verdict Record(
      const BreakerRule& rule, bool failed, std::uint64_t latency_ns, std::uint64_t now_ns,
      bool probe) noexcept;

  // An attempt that says nothing about the arm: another probe may go.
  void GiveBack(bool probe) noexcept;

  // Closed, with nothing counted.
  void Reset() noexcept;

  State state() const noexcept;
  // Ejections that the next open period counts with, before decay.
  std::uint32_t ejections() const noexcept;

 private:
  static constexpr std::size_t kBuckets = 10;

  // Counts one attempt in the window; true when the window's failure rate opens the breaker.
  bool CountInWindow(const BreakerRule& rule, bool failed, std::uint64_t now_ns) noexcept;
  bool RateReached(const BreakerRule& rule, std::uint64_t epoch) const noexcept;
  Verdict RecordProbe(const BreakerRule& rule, bool bad, std::uint64_t now_ns) noexcept;
  bool Open(const BreakerRule& rule, std::uint64_t now_ns) noexcept;
  void Forget() noexcept;

  // Read at each decision, written at changes only: apart from the counts of every attempt.
  alignas(64) std::atomic<std::uint64_t> word_{0};
  alignas(64) std::atomic<std::uint32_t> consecutive_{0};
  std::array<std::atomic<std::uint64_t>, kBuckets> window_{};
};

}  // namespace nereid
