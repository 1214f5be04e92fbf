#include "latency.h"

#include <cmath>

namespace nereid {
namespace {

constexpr double kTauNs = 10e9;

}  // namespace

void PeakEwma::Record(std::uint64_t latency_ns, std::uint64_t now_ns) noexcept {
  const double sample = static_cast<double>(latency_ns);
  const double value = value_ns_.load(std::memory_order_relaxed);
  const std::uint64_t before_ns = at_ns_.exchange(now_ns, std::memory_order_relaxed);
  if (sample >= value) {
    value_ns_.store(sample, std::memory_order_relaxed);
    return;
  }
  // A clock read earlier on another thread: no time has passed.
  const double passed = now_ns > before_ns ? static_cast<double>(now_ns - before_ns) : 0;
  const double weight = 1 - std::exp(-passed / kTauNs);
  value_ns_.store(value + (sample - value) * weight, std::memory_order_relaxed);
}

void PeakEwma::RecordPeak(std::uint64_t latency_ns, std::uint64_t now_ns) noexcept {
  if (static_cast<double>(latency_ns) > value_ns()) Record(latency_ns, now_ns);
}

}  // namespace nereid
