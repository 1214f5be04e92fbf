// The router's own metrics on Triton's /metrics, kept by the backend so that they outlive reloads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "check.h"

namespace nereid {

// What became of one attempt on one arm. `rescued`, `both_failed` and `rejected` are names reserved
// for the attempts that later policies make.
enum class Outcome { kOk, kError, kCancelled, kTimeout };
constexpr std::size_t kOutcomes = 4;

struct MetricDeleter {
  void operator()(TRITONSERVER_Metric* metric) const;
};
using Metric = std::unique_ptr<TRITONSERVER_Metric, MetricDeleter>;

// The series of one arm of one endpoint. Every call is safe from any thread; a series that could
// not be made is left out, and the request goes on without it.
class ArmMetrics {
 public:
  void Began() noexcept;
  void FirstResponse(std::uint64_t elapsed_ns) noexcept;
  void Ended(Outcome outcome, std::uint64_t elapsed_ns) noexcept;

 private:
  friend class Metrics;
  Metric requests_[kOutcomes];
  Metric duration_;
  Metric first_response_;
  Metric inflight_;
};

class Metrics {
 public:
  // Registers the families. A server without metrics still routes.
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The one set of series for (endpoint, arm), the same from load to load. The last arms that no
  // router names any more are kept too, so a way back continues its counts; older ones are dropped,
  // or a server that saw many versions would expose them all for ever.
  std::shared_ptr<ArmMetrics> Of(const std::string& endpoint, const std::string& arm);

  static std::vector<double> Buckets(double first, double last, double ratio);

 private:
  using Key = std::pair<std::string, std::string>;

  void DropIdle();

  TRITONSERVER_MetricFamily* requests_ = nullptr;
  TRITONSERVER_MetricFamily* duration_ = nullptr;
  TRITONSERVER_MetricFamily* first_response_ = nullptr;
  TRITONSERVER_MetricFamily* inflight_ = nullptr;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<ArmMetrics>> arms_;
  std::list<Key> oldest_first_;
};

}  // namespace nereid
