#include "call.h"

#include <utility>

#include "watch.h"

namespace nereid {

Call::Call(
    std::shared_ptr<Router> routed_by, TRITONBACKEND_ModelInstance* on,
    TRITONBACKEND_Request* request)
    : open(routed_by->services),
      router(std::move(routed_by)),
      instance(on),
      outer(request),
      began_ns(NowNs()),
      submitted_ns(began_ns) {
  first.call = this;
  rescue.call = this;
  router->endpoint->budget.Began();
  router->services->watch->Enter(this);
}

void Call::GiveUpHold() {
  if (holds.fetch_sub(1, std::memory_order_acq_rel) == 1) ReleaseOuter();
}

void Call::GiveUpReference() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void Call::Answered(bool well, std::uint64_t at_ns) {
  answered_well = well;
  answered_ns = at_ns;
  GiveUpHold();
}

void Call::ReleaseOuter() {
  router->services->watch->Leave(this);
  router->endpoint->budget.Ended();
  const std::uint64_t ended_ns = NowNs();
  LogIfError(
      TRITONBACKEND_ModelInstanceReportStatistics(
          instance, outer, answered_well, began_ns, submitted_ns, answered_ns, ended_ns),
      "report a request");
  if (answered_well) {
    LogIfError(
        TRITONBACKEND_ModelInstanceReportBatchStatistics(
            instance, batch_size, began_ns, submitted_ns, answered_ns, ended_ns),
        "report an execution");
  }
  if (factory != nullptr) {
    LogIfError(TRITONBACKEND_ResponseFactoryDelete(factory), "free a response factory");
  }
  // The model may be unloaded when this returns: the request was what kept it.
  LogIfError(
      TRITONBACKEND_RequestRelease(outer, TRITONSERVER_REQUEST_RELEASE_ALL), "release a request");
  GiveUpReference();
}

}  // namespace nereid
