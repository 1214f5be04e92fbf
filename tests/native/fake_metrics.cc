// Custom metrics, kept as Prometheus keeps them: equal labels share one value.
#include <sstream>

#include "fake_objects.h"

namespace fake {
namespace {

using Labels = std::map<std::string, std::string>;

struct Cell {
  TRITONSERVER_MetricKind kind;
  std::atomic<double> value{0};
  std::atomic<std::uint64_t> observations{0};
};

struct FamilyObject : Object {
  FamilyObject() : Object(Kind::kMetricFamily) {}
  std::string name;
  TRITONSERVER_MetricKind sort = TRITONSERVER_METRIC_KIND_COUNTER;
  std::atomic<int> children{0};
};

struct MetricObject : Object {
  MetricObject() : Object(Kind::kMetric) {}
  FamilyObject* family = nullptr;
  Labels labels;
  std::shared_ptr<Cell> cell;
};

struct MetricArgs : Object {
  MetricArgs() : Object(Kind::kMetricArgs) {}
  std::vector<double> buckets;
};

std::mutex mutex;
std::map<std::pair<std::string, Labels>, std::weak_ptr<Cell>> cells;

void Add(std::atomic<double>* to, double by) {
  double before = to->load(std::memory_order_relaxed);
  while (!to->compare_exchange_weak(before, before + by)) {
  }
}

}  // namespace

double MetricSum(const std::string& family, const Labels& labels) {
  const std::lock_guard<std::mutex> lock(mutex);
  double sum = 0;
  for (const auto& [key, held] : cells) {
    const std::shared_ptr<Cell> cell = held.lock();
    if (cell == nullptr || key.first != family) continue;
    bool matches = true;
    for (const auto& [name, value] : labels) {
      const auto found = key.second.find(name);
      matches = matches && found != key.second.end() && found->second == value;
    }
    if (!matches) continue;
    sum += cell->kind == TRITONSERVER_METRIC_KIND_HISTOGRAM
               ? static_cast<double>(cell->observations.load())
               : cell->value.load();
  }
  return sum;
}

std::string MetricsText(const std::string& prefix) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::ostringstream text;
  for (const auto& [key, held] : cells) {
    const std::shared_ptr<Cell> cell = held.lock();
    if (cell == nullptr || key.first.rfind(prefix, 0) != 0) continue;
    text << key.first << "{";
    for (const auto& [name, value] : key.second) text << name << "=" << value << ",";
    text << "} "
         << (cell->kind == TRITONSERVER_METRIC_KIND_HISTOGRAM
                 ? static_cast<double>(cell->observations.load())
                 : cell->value.load())
         << "\n";
  }
  return text.str();
}

}  // namespace fake

using namespace fake;

extern "C" {

TRITONSERVER_Error* TRITONSERVER_MetricFamilyNew(
    TRITONSERVER_MetricFamily** family, const TRITONSERVER_MetricKind kind, const char* name,
    const char*) {
  FAKE_MAY_FAIL();
  FamilyObject* made = new FamilyObject;
  made->name = name;
  made->sort = kind;
  *family = reinterpret_cast<TRITONSERVER_MetricFamily*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricFamilyDelete(TRITONSERVER_MetricFamily* handle) {
  FamilyObject* family = Of<FamilyObject>(handle, Kind::kMetricFamily, __func__);
  if (family->children.load() != 0) Violation("a metric family was deleted before its metrics");
  delete family;
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricArgsNew(TRITONSERVER_MetricArgs** args) {
  FAKE_MAY_FAIL();
  *args = reinterpret_cast<TRITONSERVER_MetricArgs*>(new MetricArgs);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricArgsSetHistogram(
    TRITONSERVER_MetricArgs* args, const double* buckets, const std::uint64_t count) {
  FAKE_MAY_FAIL();
  Of<MetricArgs>(args, Kind::kMetricArgs, __func__)->buckets.assign(buckets, buckets + count);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricArgsDelete(TRITONSERVER_MetricArgs* args) {
  delete Of<MetricArgs>(args, Kind::kMetricArgs, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricNewWithArgs(
    TRITONSERVER_Metric** metric, TRITONSERVER_MetricFamily* family,
    const TRITONSERVER_Parameter** labels, const std::uint64_t label_count,
    const TRITONSERVER_MetricArgs* args) {
  FAKE_MAY_FAIL();
  auto made = std::make_unique<MetricObject>();
  made->family = Of<FamilyObject>(family, Kind::kMetricFamily, __func__);
  if ((made->family->sort == TRITONSERVER_METRIC_KIND_HISTOGRAM) != (args != nullptr)) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "buckets are for histograms");
  }
  for (std::uint64_t i = 0; i < label_count; ++i) {
    const Parameter* label = reinterpret_cast<const Parameter*>(labels[i]);
    made->labels[label->name] = label->text;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<Cell>& held = cells[{made->family->name, made->labels}];
  made->cell = held.lock();
  if (made->cell == nullptr) {
    made->cell = std::make_shared<Cell>();
    made->cell->kind = made->family->sort;
    held = made->cell;
  }
  ++made->family->children;
  *metric = reinterpret_cast<TRITONSERVER_Metric*>(made.release());
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricDelete(TRITONSERVER_Metric* handle) {
  MetricObject* metric = Of<MetricObject>(handle, Kind::kMetric, __func__);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    --metric->family->children;
    const std::pair<std::string, Labels> key{metric->family->name, metric->labels};
    metric->cell.reset();
    if (cells[key].expired()) cells.erase(key);
    delete metric;
  }
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricIncrement(TRITONSERVER_Metric* handle, double value) {
  FAKE_MAY_FAIL();
  Cell& cell = *Of<MetricObject>(handle, Kind::kMetric, __func__)->cell;
  if (cell.kind == TRITONSERVER_METRIC_KIND_HISTOGRAM ||
      (cell.kind == TRITONSERVER_METRIC_KIND_COUNTER && value < 0)) {
    Violation("a metric was incremented that cannot be, or by less than nothing");
  }
  Add(&cell.value, value);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricSet(TRITONSERVER_Metric* handle, double value) {
  FAKE_MAY_FAIL();
  Cell& cell = *Of<MetricObject>(handle, Kind::kMetric, __func__)->cell;
  if (cell.kind != TRITONSERVER_METRIC_KIND_GAUGE) Violation("only a gauge can be set");
  cell.value.store(value);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MetricObserve(TRITONSERVER_Metric* handle, double) {
  FAKE_MAY_FAIL();
  Cell& cell = *Of<MetricObject>(handle, Kind::kMetric, __func__)->cell;
  if (cell.kind != TRITONSERVER_METRIC_KIND_HISTOGRAM) Violation("only a histogram observes");
  cell.observations.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

}  // extern "C"
