#include "metrics.h"

#include <limits>
#include <utility>

#include "confidence.h"

namespace nereid {
namespace {

constexpr const char* kOutcomeNames[kOutcomes] = {"ok",       "error",   "rescued",  "both_failed",
                                                  "rejected", "timeout", "cancelled"};
constexpr const char* kShadowOutcomeNames[kShadowOutcomes] = {"ok", "error", "dropped"};
constexpr const char* kDiversionNames[kDiversions] = {"breaker", "allowance", "slow_start",
                                                      "overflow"};

// 50 us to 100 s. Steps of 5 % for the duration: a quantile read from them is within 2.5 %, and
// two arms can be told apart where it matters. Steps of 10 % for the first response, which only
// differs from the duration on streaming arms, to save its half of the series.
constexpr double kFirstBucketUs = 50.0;
constexpr double kLastBucketUs = 100e6;
constexpr double kDurationRatio = 1.05;
constexpr double kFirstResponseRatio = 1.10;

// Of outputs: from rounding in the last digit of a float to nonsense.
constexpr double kFirstDifference = 1e-9;
constexpr double kLastDifference = 1e6;
constexpr double kDifferenceRatio = 10.0;

using Labels = std::vector<std::pair<const char*, std::string>>;

struct FamilyDeleter {
  void operator()(TRITONSERVER_MetricFamily* family) const {
    LogIfError(TRITONSERVER_MetricFamilyDelete(family), "free a metric");
  }
};
using Family = std::unique_ptr<TRITONSERVER_MetricFamily, FamilyDeleter>;

Family NewFamily(TRITONSERVER_MetricKind kind, const char* name, const char* description) {
  TRITONSERVER_MetricFamily* family = nullptr;
  LogIfError(TRITONSERVER_MetricFamilyNew(&family, kind, name, description), "register a metric");
  return Family(family);
}

Metric NewMetric(
    const Family& family, const Labels& labels, const TRITONSERVER_MetricArgs* args = nullptr) {
  if (!family) return nullptr;
  std::vector<TRITONSERVER_Parameter*> parameters;
  for (const auto& [name, value] : labels) {
    parameters.push_back(
        TRITONSERVER_ParameterNew(name, TRITONSERVER_PARAMETER_STRING, value.c_str()));
  }
  TRITONSERVER_Metric* metric = nullptr;
  LogIfError(
      TRITONSERVER_MetricNewWithArgs(
          &metric, family.get(), const_cast<const TRITONSERVER_Parameter**>(parameters.data()),
          parameters.size(), args),
      "make a metric");
  for (TRITONSERVER_Parameter* parameter : parameters) TRITONSERVER_ParameterDelete(parameter);
  return Metric(metric);
}

Metric NewMetric(
    const Family& family, Labels labels, const char* last_label, const char* last_value) {
  labels.emplace_back(last_label, last_value);
  return NewMetric(family, labels);
}

Metric NewHistogram(const Family& family, const Labels& labels, const std::vector<double>& buckets) {
  TRITONSERVER_MetricArgs* args = nullptr;
  if (Error error{TRITONSERVER_MetricArgsNew(&args)}) {
    LogIfError(error.release(), "describe a histogram");
    return nullptr;
  }
  Metric metric;
  if (Error error{TRITONSERVER_MetricArgsSetHistogram(args, buckets.data(), buckets.size())}) {
    LogIfError(error.release(), "describe a histogram");
  } else {
    metric = NewMetric(family, labels, args);
  }
  LogIfError(TRITONSERVER_MetricArgsDelete(args), "free a histogram's description");
  return metric;
}

void Increment(const Metric& metric, double by = 1.0) {
  if (metric) LogIfError(TRITONSERVER_MetricIncrement(metric.get(), by), "count");
}

void Set(const Metric& metric, double value) {
  if (metric) LogIfError(TRITONSERVER_MetricSet(metric.get(), value), "set a gauge");
}

void Observe(const Metric& metric, double value) {
  if (metric) LogIfError(TRITONSERVER_MetricObserve(metric.get(), value), "observe a value");
}

double Microseconds(std::uint64_t elapsed_ns) { return static_cast<double>(elapsed_ns) / 1000.0; }

void ObserveTime(const Metric& metric, std::uint64_t elapsed_ns) {
  Observe(metric, Microseconds(elapsed_ns));
}

double OrInfinite(std::int64_t left) {
  return left < 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(left);
}

}  // namespace

struct Metrics::Families {
  Family requests = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_requests_total",
      "Attempts on an arm of an endpoint, by what became of them");
  Family duration = NewFamily(
      TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_request_duration_us",
      "Time from an attempt's beginning to the arm's last response, in microseconds");
  Family first_response = NewFamily(
      TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_first_response_us",
      "Time from an attempt's beginning to the arm's first response, in microseconds");
  Family inflight = NewFamily(
      TRITONSERVER_METRIC_KIND_GAUGE, "nereid_inflight_requests",
      "Requests that an arm of an endpoint is working on, shadows and abandoned ones included");
  Family ejections = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_ejections_total",
      "How often an arm's circuit breaker opened");
  Family diverted = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_diverted_total",
      "Requests meant for an arm that another one got, by the reason");
  Family shadows = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_shadow_requests_total",
      "Copies of requests sent to an arm whose answers nobody waits for");
  Family shadow_duration = NewFamily(
      TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_shadow_duration_us",
      "Time from a copy's submission to the arm's last response, in microseconds");
  Family shadow_rows = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_shadow_rows_total",
      "Rows of a shadow's compared output, by whether their largest value stands where the "
      "answer's does");
  Family shadow_difference = NewFamily(
      TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_shadow_difference",
      "Largest absolute difference between a shadow's output and the answer's");
  Family pinned_sequences = NewFamily(
      TRITONSERVER_METRIC_KIND_GAUGE, "nereid_pinned_sequences", "Live sequences held to an arm");
  Family keys = NewFamily(
      TRITONSERVER_METRIC_KIND_COUNTER, "nereid_keys_total",
      "Sticky keys of an arm under one load of its router, by how the first of their requests "
      "ended that says anything of the arm");
  Family confidence = NewFamily(
      TRITONSERVER_METRIC_KIND_HISTOGRAM, "nereid_output_confidence",
      "How sure an arm's answers are: the probability of the likeliest class, in the mean of a "
      "request's rows");
  Family breaker = NewFamily(
      TRITONSERVER_METRIC_KIND_GAUGE, "nereid_breaker_state",
      "An arm's circuit breaker: 0 closed, 1 half-open, 2 open");
  Family allowance = NewFamily(
      TRITONSERVER_METRIC_KIND_GAUGE, "nereid_allowance_left",
      "Attempts or failures an arm is still allowed, those under way not taken off the failures; "
      "+Inf where there is no bound");
  Family score = NewFamily(
      TRITONSERVER_METRIC_KIND_GAUGE, "nereid_arm_score",
      "An arm's score under an adaptive policy, the lowest gets the request; NaN under others");
};

void MetricDeleter::operator()(TRITONSERVER_Metric* metric) const {
  LogIfError(TRITONSERVER_MetricDelete(metric), "delete a metric");
}

void Late::Observe(double value) noexcept {
  std::call_once(made_, [this] {
    if (make_) metric_ = make_();
  });
  nereid::Observe(metric_, value);
}

void ArmMetrics::Began() noexcept { Increment(inflight_); }

void ArmMetrics::Ended() noexcept { Increment(inflight_, -1.0); }

void ArmMetrics::FirstResponse(std::uint64_t elapsed_ns) noexcept {
  ObserveTime(first_response_, elapsed_ns);
}

void ArmMetrics::Lasted(std::uint64_t elapsed_ns) noexcept { ObserveTime(duration_, elapsed_ns); }

void ArmMetrics::Count(Outcome outcome) noexcept {
  Increment(requests_[static_cast<std::size_t>(outcome)]);
}

void ArmMetrics::Ejected() noexcept { Increment(ejections_); }

void ArmMetrics::Turned(Diverted reason) noexcept {
  if (reason != Diverted::kNo) Increment(diverted_[static_cast<std::size_t>(reason) - 1]);
}

void ArmMetrics::Shadowed(ShadowOutcome outcome) noexcept {
  Increment(shadows_[static_cast<std::size_t>(outcome)]);
}

void ArmMetrics::ShadowLasted(std::uint64_t elapsed_ns) noexcept {
  shadow_duration_.Observe(Microseconds(elapsed_ns));
}

void ArmMetrics::Compared(const Difference& difference) noexcept {
  if (!difference.comparable) return;
  Observe(shadow_difference_, difference.max_abs);
  Increment(shadow_rows_agreed_, static_cast<double>(difference.agreed));
  Increment(shadow_rows_differed_, static_cast<double>(difference.rows - difference.agreed));
}

void ArmMetrics::PinnedSequences(int change) noexcept { Increment(pinned_sequences_, change); }

void ArmMetrics::KeyEnded(bool well) noexcept { Increment(well ? keys_good_ : keys_bad_); }

void ArmMetrics::Confident(double confidence) noexcept { confidence_.Observe(confidence); }

void ArmMetrics::ShowBreaker(Breaker::State state) noexcept {
  Set(breaker_, state == Breaker::State::kOpen ? 2.0 : state == Breaker::State::kHalfOpen ? 1.0 : 0.0);
}

void ArmMetrics::ShowAllowance(std::int64_t attempts_left, std::int64_t failures_left) noexcept {
  Set(allowance_attempts_, OrInfinite(attempts_left));
  Set(allowance_failures_, OrInfinite(failures_left));
}

void ArmMetrics::ShowScore(double score) noexcept { Set(score_, score); }

Metrics::Metrics() : families_(std::make_unique<Families>()) {}

Metrics::~Metrics() = default;

std::vector<double> Metrics::Buckets(double first, double last, double ratio) {
  std::vector<double> bounds;
  for (double bound = first; bound < last; bound *= ratio) bounds.push_back(bound);
  bounds.push_back(last);
  return bounds;
}

std::unique_ptr<ArmMetrics> Metrics::New(const std::string& endpoint, const std::string& arm) const {
  const Families& families = *families_;
  const Labels labels{{"endpoint", endpoint}, {"arm", arm}};
  auto made = std::make_unique<ArmMetrics>();
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    made->requests_[i] = NewMetric(families.requests, labels, "outcome", kOutcomeNames[i]);
  }
  for (std::size_t i = 0; i < kDiversions; ++i) {
    made->diverted_[i] = NewMetric(families.diverted, labels, "reason", kDiversionNames[i]);
  }
  for (std::size_t i = 0; i < kShadowOutcomes; ++i) {
    made->shadows_[i] = NewMetric(families.shadows, labels, "outcome", kShadowOutcomeNames[i]);
  }
  // The families outlive every arm's series.
  made->shadow_duration_.make_ = [&families, labels] {
    return NewHistogram(
        families.shadow_duration, labels, Buckets(kFirstBucketUs, kLastBucketUs, kDurationRatio));
  };
  made->confidence_.make_ = [&families, labels] {
    return NewHistogram(families.confidence, labels, ConfidenceEdges());
  };
  made->duration_ = NewHistogram(
      families.duration, labels, Buckets(kFirstBucketUs, kLastBucketUs, kDurationRatio));
  made->first_response_ = NewHistogram(
      families.first_response, labels, Buckets(kFirstBucketUs, kLastBucketUs, kFirstResponseRatio));
  made->shadow_difference_ = NewHistogram(
      families.shadow_difference, labels,
      Buckets(kFirstDifference, kLastDifference, kDifferenceRatio));
  made->shadow_rows_agreed_ = NewMetric(families.shadow_rows, labels, "top1", "same");
  made->shadow_rows_differed_ = NewMetric(families.shadow_rows, labels, "top1", "other");
  made->inflight_ = NewMetric(families.inflight, labels);
  made->ejections_ = NewMetric(families.ejections, labels);
  made->pinned_sequences_ = NewMetric(families.pinned_sequences, labels);
  made->keys_good_ = NewMetric(families.keys, labels, "outcome", "good");
  made->keys_bad_ = NewMetric(families.keys, labels, "outcome", "bad");
  made->breaker_ = NewMetric(families.breaker, labels);
  made->allowance_attempts_ = NewMetric(families.allowance, labels, "of", "attempts");
  made->allowance_failures_ = NewMetric(families.allowance, labels, "of", "failures");
  made->score_ = NewMetric(families.score, labels);
  made->ShowAllowance(-1, -1);
  made->ShowScore(std::numeric_limits<double>::quiet_NaN());
  return made;
}

}  // namespace nereid
