// The router's own series on Triton's /metrics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "check.h"
#include "compare.h"
#include "decide.h"

namespace nereid {

// What became of one attempt on one arm. A failed attempt whose request the primary then answered
// is `kRescued`; `kBothFailed` where the primary failed too.
enum class Outcome { kOk, kError, kRescued, kBothFailed, kRejected, kTimeout, kCancelled };
constexpr std::size_t kOutcomes = 7;

enum class ShadowOutcome { kOk, kError, kDropped };
constexpr std::size_t kShadowOutcomes = 3;

// Why an arm that the policy chose did not get the request; Diverted::kNo has no series.
constexpr std::size_t kDiversions = 4;

struct MetricDeleter {
  void operator()(TRITONSERVER_Metric* metric) const;
};
using Metric = std::unique_ptr<TRITONSERVER_Metric, MetricDeleter>;

// A histogram that is made with its first value: most arms never have one, and each of its buckets
// is a series.
class Late {
 public:
  void Observe(double value) noexcept;

 private:
  friend class Metrics;
  std::function<Metric()> make_;
  std::once_flag made_;
  Metric metric_;
};

// The series of one arm of one endpoint. Every call is safe from any thread; a series that could
// not be made is left out, and the request goes on without it.
class ArmMetrics {
 public:
  void Began() noexcept;
  void Ended() noexcept;
  void FirstResponse(std::uint64_t elapsed_ns) noexcept;
  void Lasted(std::uint64_t elapsed_ns) noexcept;
  void Count(Outcome outcome) noexcept;
  void Ejected() noexcept;
  void Turned(Diverted reason) noexcept;
  void Shadowed(ShadowOutcome outcome) noexcept;
  void ShadowLasted(std::uint64_t elapsed_ns) noexcept;
  void Compared(const Difference& difference) noexcept;
  void PinnedSequences(int change) noexcept;
  void KeyEnded(bool well) noexcept;
  void Confident(double confidence) noexcept;

  // Gauges that are looked at now and then. -1 in an allowance: no bound.
  void ShowBreaker(Breaker::State state) noexcept;
  void ShowAllowance(std::int64_t attempts_left, std::int64_t failures_left) noexcept;
  void ShowScore(double score) noexcept;

 private:
  friend class Metrics;
  Metric requests_[kOutcomes];
  Metric duration_;
  Metric first_response_;
  Metric inflight_;
  Metric ejections_;
  Metric diverted_[kDiversions];
  Metric shadows_[kShadowOutcomes];
  Late shadow_duration_;
  Late confidence_;
  Metric shadow_rows_agreed_;
  Metric shadow_rows_differed_;
  Metric shadow_difference_;
  Metric pinned_sequences_;
  Metric keys_good_;
  Metric keys_bad_;
  Metric breaker_;
  Metric allowance_attempts_;
  Metric allowance_failures_;
  Metric score_;
};

class Metrics {
 public:
  // Registers the families. A server without metrics still routes.
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  std::unique_ptr<ArmMetrics> New(const std::string& endpoint, const std::string& arm) const;

  static std::vector<double> Buckets(double first, double last, double ratio);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace nereid
