#include "metrics.h"

#include <algorithm>

namespace nereid {
namespace {

constexpr std::size_t kIdleArmsKept = 16;
constexpr const char* kOutcomeNames[kOutcomes] = {"ok", "error", "cancelled", "timeout"};

// 50 us to 100 s. Steps of 5 % for the duration: a quantile read from them is within 2.5 %, and
// two arms can be told apart where it matters. Steps of 10 % for the first response, which only
// differs from the duration on streaming arms, to save its half of the series.
constexpr double kFirstBucketUs = 50.0;
constexpr double kLastBucketUs = 100e6;
constexpr double kDurationRatio = 1.05;
constexpr double kFirstResponseRatio = 1.10;

using Labels = std::vector<std::pair<const char*, std::string>>;

TRITONSERVER_MetricFamily* NewFamily(
    TRITONSERVER_MetricKind kind, const char* name, const char* description) {
  TRITONSERVER_MetricFamily* family = nullptr;
  LogIfError(TRITONSERVER_MetricFamilyNew(&family, kind, name, description), "register a metric");
  return family;
}

Metric NewMetric(
    TRITONSERVER_MetricFamily* family, const Labels& labels,
    const TRITONSERVER_MetricArgs* args = nullptr) {
  if (family == nullptr) return nullptr;
  std::vector<TRITONSERVER_Parameter*> parameters;
  for (const auto& [name, value] : labels) {
    parameters.push_back(
        TRITONSERVER_ParameterNew(name, TRITONSERVER_PARAMETER_STRING, value.c_str()));
  }
  TRITONSERVER_Metric* metric = nullptr;
  LogIfError(
      TRITONSERVER_MetricNewWithArgs(
          &metric, family, const_cast<const TRITONSERVER_Parameter**>(parameters.data()),
          parameters.size(), args),
      "make a metric");
  for (TRITONSERVER_Parameter* parameter : parameters) TRITONSERVER_ParameterDelete(parameter);
  return Metric(metric);
}

Metric NewHistogram(TRITONSERVER_MetricFamily* family, const Labels& labels, double ratio) {
  TRITONSERVER_MetricArgs* args = nullptr;
  if (Error error{TRITONSERVER_MetricArgsNew(&args)}) {
    LogIfError(error.release(), "describe a histogram");
    return nullptr;
  }
  const std::vector<double> buckets = Metrics::Buckets(kFirstBucketUs, kLastBucketUs, ratio);
  Metric metric;
  if (Error error{TRITONSERVER_MetricArgsSetHistogram(args, buckets.data(), buckets.size())}) {
    LogIfError(error.release(), "describe a histogram");
  } else {
    metric = NewMetric(family, labels, args);
  }
  LogIfError(TRITONSERVER_MetricArgsDelete(args), "free a histogram's description");
  return metric;
}

void Increment(const Metric& metric, double by) {
  if (metric) LogIfError(TRITONSERVER_MetricIncrement(metric.get(), by), "count");
}

void Observe(const Metric& metric, std::uint64_t elapsed_ns) {
  if (!metric) return;
  LogIfError(
      TRITONSERVER_MetricObserve(metric.get(), static_cast<double>(elapsed_ns) / 1000.0),
      "observe a time");
}

}  // namespace

void MetricDeleter::operator()(TRITONSERVER_Metric* metric) const {
  LogIfError(TRITONSERVER_MetricDelete(metric), "delete a metric");
}

void ArmMetrics::Began() noexcept { Increment(inflight_, 1.0); }

void ArmMetrics::FirstResponse(std::uint64_t elapsed_ns) noexcept {
  Observe(first_response_, elapsed_ns);
}

void ArmMetrics::Ended(Outcome outcome, std::uint64_t elapsed_ns) noexcept {
  Observe(duration_, elapsed_ns);
  Increment(requests_[static_cast<std::size_t>(outcome)], 1.0);
  Increment(inflight_, -1.0);
}

Metrics::Metrics()
    : requests_(NewFamily(
          TRITONSERVER_METRIC_KIND_COUNTER, "nereid_requests_total",
          "Attempts on an arm of an endpoint, by what became of them")),
      duration_(NewFamily(
          TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_request_duration_us",
          "Time from the router taking a request to the arm's last response, in microseconds")),
      first_response_(NewFamily(
          TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_first_response_us",
          "Time from the router taking a request to the arm's first response, in microseconds")),
      inflight_(NewFamily(
          TRITONSERVER_METRIC_KIND_GAUGE, "nereid_inflight_requests",
          "Requests that an arm of an endpoint is working on")) {}

Metrics::~Metrics() {
  arms_.clear();
  for (TRITONSERVER_MetricFamily* family : {requests_, duration_, first_response_, inflight_}) {
    if (family != nullptr) LogIfError(TRITONSERVER_MetricFamilyDelete(family), "free a metric");
  }
}

std::vector<double> Metrics::Buckets(double first, double last, double ratio) {
  std::vector<double> bounds;
  for (double bound = first; bound < last; bound *= ratio) bounds.push_back(bound);
  bounds.push_back(last);
  return bounds;
}

std::shared_ptr<ArmMetrics> Metrics::Of(const std::string& endpoint, const std::string& arm) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Key key{endpoint, arm};
  oldest_first_.remove(key);
  oldest_first_.push_back(key);
  std::shared_ptr<ArmMetrics>& found = arms_[key];
  if (!found) {
    const Labels labels{{"endpoint", endpoint}, {"arm", arm}};
    found = std::make_shared<ArmMetrics>();
    for (std::size_t i = 0; i < kOutcomes; ++i) {
      Labels with_outcome = labels;
      with_outcome.emplace_back("outcome", kOutcomeNames[i]);
      found->requests_[i] = NewMetric(requests_, with_outcome);
    }
    found->duration_ = NewHistogram(duration_, labels, kDurationRatio);
    found->first_response_ = NewHistogram(first_response_, labels, kFirstResponseRatio);
    found->inflight_ = NewMetric(inflight_, labels);
  }
  const std::shared_ptr<ArmMetrics> result = found;
  DropIdle();
  return result;
}

void Metrics::DropIdle() {
  const auto is_idle = [this](const Key& key) { return arms_.at(key).use_count() == 1; };
  std::size_t idle = static_cast<std::size_t>(
      std::count_if(oldest_first_.begin(), oldest_first_.end(), is_idle));
  for (auto it = oldest_first_.begin(); it != oldest_first_.end() && idle > kIdleArmsKept;) {
    if (is_idle(*it)) {
      arms_.erase(*it);
      it = oldest_first_.erase(it);
      --idle;
    } else {
      ++it;
    }
  }
}

}  // namespace nereid
