// Statistics that a backend reports: nothing is kept, all is checked.
#include <algorithm>

#include "fake_objects.h"

namespace fake {
namespace {

struct Report : Object {
  Report() : Object(Kind::kReport) {}
  Instance* instance = nullptr;
  Factory* factory = nullptr;
};

void CheckTimes(const char* function, std::initializer_list<std::uint64_t> times) {
  if (std::is_sorted(times.begin(), times.end())) return;
  std::string text = std::string(function) + ": times run backwards:";
  for (const std::uint64_t time : times) text += " " + std::to_string(time);
  Violation(text);
}

}  // namespace
}  // namespace fake

using namespace fake;

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportStatistics(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request, const bool,
    const std::uint64_t exec_start, const std::uint64_t compute_start,
    const std::uint64_t compute_end, const std::uint64_t exec_end) {
  FAKE_MAY_FAIL();
  Of<Instance>(instance, Kind::kInstance, __func__);
  Of<Request>(request, Kind::kOuterRequest, __func__);
  CheckTimes(__func__, {exec_start, compute_start, compute_end, exec_end});
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportBatchStatistics(
    TRITONBACKEND_ModelInstance* instance, const std::uint64_t, const std::uint64_t exec_start,
    const std::uint64_t compute_start, const std::uint64_t compute_end,
    const std::uint64_t exec_end) {
  FAKE_MAY_FAIL();
  Of<Instance>(instance, Kind::kInstance, __func__);
  CheckTimes(__func__, {exec_start, compute_start, compute_end, exec_end});
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsNew(
    TRITONBACKEND_ModelInstanceResponseStatistics** report) {
  FAKE_MAY_FAIL();
  *report = reinterpret_cast<TRITONBACKEND_ModelInstanceResponseStatistics*>(new Report);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsDelete(
    TRITONBACKEND_ModelInstanceResponseStatistics* report) {
  delete Of<Report>(report, Kind::kReport, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetModelInstance(
    TRITONBACKEND_ModelInstanceResponseStatistics* report, TRITONBACKEND_ModelInstance* instance) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__)->instance =
      Of<Instance>(instance, Kind::kInstance, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseFactory(
    TRITONBACKEND_ModelInstanceResponseStatistics* report,
    TRITONBACKEND_ResponseFactory* factory) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__)->factory =
      Of<Factory>(factory, Kind::kFactory, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseStart(
    TRITONBACKEND_ModelInstanceResponseStatistics* report, std::uint64_t) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetComputeOutputStart(
    TRITONBACKEND_ModelInstanceResponseStatistics* report, std::uint64_t) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseEnd(
    TRITONBACKEND_ModelInstanceResponseStatistics* report, std::uint64_t) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceResponseStatisticsSetError(
    TRITONBACKEND_ModelInstanceResponseStatistics* report, TRITONSERVER_Error* error) {
  FAKE_MAY_FAIL();
  Of<Report>(report, Kind::kReport, __func__);
  if (error != nullptr) Of<ErrorObject>(error, Kind::kError, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportResponseStatistics(
    TRITONBACKEND_ModelInstanceResponseStatistics* handle) {
  FAKE_MAY_FAIL();
  Report* report = Of<Report>(handle, Kind::kReport, __func__);
  if (report->instance == nullptr || report->factory == nullptr) {
    Violation("a response was reported without its instance or factory");
  }
  Of<Factory>(report->factory, Kind::kFactory, __func__);
  return nullptr;
}

}  // extern "C"
