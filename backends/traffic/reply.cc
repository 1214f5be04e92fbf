#include "reply.h"

#include "copy_response.h"
#include "shadow.h"

namespace nereid {

namespace {

// The last resort, so that a caller at least stops waiting.
void SendBareError(Call* call, std::uint32_t flags, TRITONSERVER_Error* error) {
  TRITONBACKEND_Response* response = nullptr;
  if (Error failed{TRITONBACKEND_ResponseNew(&response, call->outer)}) {
    LogIfError(failed.release(), "make a response");
    return;
  }
  LogIfError(TRITONBACKEND_ResponseSend(response, flags, error), "end a response");
}

void BeforeAnswer(Call* call) {
  if (call->shadow_copies) call->shadow_copies->Take();
}

}  // namespace

void SendFlags(Call* call, std::uint32_t flags) {
  BeforeAnswer(call);
  TRITONBACKEND_ResponseFactory* factory = call->factory;
  if (factory == nullptr) {
    if (Error error{TRITONBACKEND_ResponseFactoryNew(&factory, call->outer)}) {
      SendBareError(call, flags, error.get());
      return;
    }
  }
  LogIfError(TRITONBACKEND_ResponseFactorySendFlags(factory, flags), "end a response");
  if (factory != call->factory) {
    LogIfError(TRITONBACKEND_ResponseFactoryDelete(factory), "free a response factory");
  }
}

void SendError(Call* call, const ArmRecord& arm, std::uint32_t flags, TRITONSERVER_Error* error) {
  BeforeAnswer(call);
  TRITONBACKEND_Response* response = nullptr;
  if (Error failed{TRITONBACKEND_ResponseNew(&response, call->outer)}) {
    LogIfError(failed.release(), "make an error response");
    SendFlags(call, flags);  // so that the caller at least stops waiting
    return;
  }
  LogIfError(
      TRITONBACKEND_ResponseSetStringParameter(response, "nereid_arm", arm.model.c_str()),
      "name the arm");
  LogIfError(TRITONBACKEND_ResponseSend(response, flags, error), "send an error response");
}

Error SendOn(
    Call* call, const ArmRecord& arm, TRITONSERVER_InferenceResponse* inner, std::uint32_t flags) {
  BeforeAnswer(call);
  TRITONBACKEND_Response* response = nullptr;
  Error error{TRITONBACKEND_ResponseNew(&response, call->outer)};
  if (!error) {
    error = CopyResponse(inner, response, arm.model.c_str());
    if (!error) {
      // From here the response is no longer ours, whatever the call returns.
      LogIfError(TRITONBACKEND_ResponseSend(response, flags, nullptr), "send a response");
      return nullptr;
    }
    LogIfError(TRITONBACKEND_ResponseDelete(response), "drop a half-made response");
  }
  SendError(call, arm, flags, error.get());
  return error;
}

void ReportResponse(
    const Call& call, std::uint64_t start_ns, TRITONSERVER_InferenceResponse* inner,
    TRITONSERVER_Error* error) {
  if (call.factory == nullptr) return;
  TRITONBACKEND_ModelInstanceResponseStatistics* report = nullptr;
  if (Error failed{TRITONBACKEND_ModelInstanceResponseStatisticsNew(&report)}) {
    LogIfError(failed.release(), "report a response");
    return;
  }
  const auto fill = [&]() -> Error {
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceResponseStatisticsSetModelInstance(
        report, call.instance));
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseFactory(
        report, call.factory));
    NEREID_RETURN_IF_ERROR(
        TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseStart(report, start_ns));
    if (inner != nullptr) {
      NEREID_RETURN_IF_ERROR(
          TRITONBACKEND_ModelInstanceResponseStatisticsSetComputeOutputStart(report, start_ns));
    }
    NEREID_RETURN_IF_ERROR(
        TRITONBACKEND_ModelInstanceResponseStatisticsSetResponseEnd(report, NowNs()));
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceResponseStatisticsSetError(report, error));
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceReportResponseStatistics(report));
    return nullptr;
  };
  LogIfError(fill().release(), "report a response");
  LogIfError(
      TRITONBACKEND_ModelInstanceResponseStatisticsDelete(report), "free a response's report");
}

}  // namespace nereid
