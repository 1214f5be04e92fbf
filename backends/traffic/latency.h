// An arm's latency as routing sees it: quick to rise, slow to fall. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>

namespace nereid {

// Finagle's peak-EWMA. A sample above the estimate replaces it; else the estimate moves toward the
// sample by 1 - exp(-dt / 10 s). Two threads at once may lose a sample, never tear one.
class PeakEwma {
 public:
  void Record(std::uint64_t latency_ns, std::uint64_t now_ns) noexcept;

  // Takes a sample only where it raises the estimate: a failure's, for a quick failure is no speed.
  void RecordPeak(std::uint64_t latency_ns, std::uint64_t now_ns) noexcept;

  // 0 before the first sample.
  double value_ns() const noexcept { return value_ns_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<double> value_ns_{0};
  std::atomic<std::uint64_t> at_ns_{0};
};

}  // namespace nereid
