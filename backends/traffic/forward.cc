#include "forward.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "copy_request.h"
#include "copy_response.h"

namespace nereid {
namespace {

// One request on its way through an arm.
//
// It ends when two things happened, in either order and on any thread: the arm sent its final
// response, and the server released the inner request, which reads the caller's buffers until then.
struct Call {
  Router* router = nullptr;
  TRITONBACKEND_ModelInstance* instance = nullptr;
  TRITONBACKEND_Request* outer = nullptr;
  TRITONBACKEND_ResponseFactory* factory = nullptr;  // only where responses are streamed
  std::size_t arm = 0;
  std::uint64_t batch_size = 1;
  std::uint64_t began_ns = 0;
  std::uint64_t submitted_ns = 0;
  std::uint64_t answered_ns = 0;
  bool responded = false;
  Outcome outcome = Outcome::kOk;
  std::atomic<int> open{2};

  ArmMetrics& Metrics() const { return *router->metrics[arm]; }
  const char* ArmName() const { return router->policy.arms[arm].model.c_str(); }
};

Outcome OutcomeOf(TRITONSERVER_Error* error) {
  if (error == nullptr) return Outcome::kOk;
  const TRITONSERVER_Error_Code code = TRITONSERVER_ErrorCode(error);
  if (code == TRITONSERVER_ERROR_CANCELLED) return Outcome::kCancelled;
  // The batcher has no code of its own for a request that waited too long in its queue.
  if (code == TRITONSERVER_ERROR_UNAVAILABLE &&
      std::strcmp(TRITONSERVER_ErrorMessage(error), "Request timeout expired") == 0) {
    return Outcome::kTimeout;
  }
  return Outcome::kError;
}

void SendFlags(TRITONBACKEND_Request* outer, std::uint32_t flags) {
  TRITONBACKEND_ResponseFactory* factory = nullptr;
  if (Error error{TRITONBACKEND_ResponseFactoryNew(&factory, outer)}) {
    LogIfError(error.release(), "make a response factory");
    return;
  }
  LogIfError(TRITONBACKEND_ResponseFactorySendFlags(factory, flags), "end a response");
  LogIfError(TRITONBACKEND_ResponseFactoryDelete(factory), "free a response factory");
}

void SendError(
    TRITONBACKEND_Request* outer, const char* arm, std::uint32_t flags, TRITONSERVER_Error* error) {
  TRITONBACKEND_Response* response = nullptr;
  if (Error failed{TRITONBACKEND_ResponseNew(&response, outer)}) {
    LogIfError(failed.release(), "make an error response");
    SendFlags(outer, flags);  // so that the caller at least stops waiting
    return;
  }
  LogIfError(
      TRITONBACKEND_ResponseSetStringParameter(response, "nereid_arm", arm), "name the arm");
  LogIfError(TRITONBACKEND_ResponseSend(response, flags, error), "send an error response");
}

// Gives one response of the arm to the caller; returns what the caller was told.
Outcome SendOn(
    TRITONBACKEND_Request* outer, const char* arm, TRITONSERVER_InferenceResponse* inner,
    std::uint32_t flags) {
  // The response keeps its error: it is only lent here.
  if (TRITONSERVER_Error* error = TRITONSERVER_InferenceResponseError(inner)) {
    SendError(outer, arm, flags, error);
    return OutcomeOf(error);
  }
  TRITONBACKEND_Response* response = nullptr;
  Error error{TRITONBACKEND_ResponseNew(&response, outer)};
  if (!error) {
    error = CopyResponse(inner, response, arm);
    if (!error) {
      // From here the response is no longer ours, whatever the call returns.
      error.reset(TRITONBACKEND_ResponseSend(response, flags, nullptr));
      LogIfError(error.release(), "send a response");
      return Outcome::kOk;
    }
    LogIfError(TRITONBACKEND_ResponseDelete(response), "drop a half-made response");
  }
  SendError(outer, arm, flags, error.get());
  return Outcome::kError;
}

void ReportResponse(
    const Call& call, std::uint64_t start_ns, bool empty, TRITONSERVER_Error* error) {
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
    if (!empty) {
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

// Reports the request and gives it back. The router may be gone when this returns: the request was
// what kept it loaded.
void End(Call* call) {
  const std::uint64_t ended_ns = NowNs();
  const bool ok = call->outcome == Outcome::kOk;
  LogIfError(
      TRITONBACKEND_ModelInstanceReportStatistics(
          call->instance, call->outer, ok, call->began_ns, call->submitted_ns, call->answered_ns,
          ended_ns),
      "report a request");
  if (ok) {
    LogIfError(
        TRITONBACKEND_ModelInstanceReportBatchStatistics(
            call->instance, call->batch_size, call->began_ns, call->submitted_ns,
            call->answered_ns, ended_ns),
        "report an execution");
  }
  if (call->factory != nullptr) {
    LogIfError(TRITONBACKEND_ResponseFactoryDelete(call->factory), "free a response factory");
  }
  TRITONBACKEND_Request* outer = call->outer;
  delete call;
  LogIfError(
      TRITONBACKEND_RequestRelease(outer, TRITONSERVER_REQUEST_RELEASE_ALL), "release a request");
}

void CloseOneSide(Call* call) {
  if (call->open.fetch_sub(1, std::memory_order_acq_rel) == 1) End(call);
}

void OnReleased(TRITONSERVER_InferenceRequest* inner, const std::uint32_t flags, void* userp) {
  if ((flags & TRITONSERVER_REQUEST_RELEASE_ALL) == 0) return;  // the server will run it once more
  LogIfError(TRITONSERVER_InferenceRequestDelete(inner), "free an inner request");
  CloseOneSide(static_cast<Call*>(userp));
}

void OnResponse(TRITONSERVER_InferenceResponse* inner, const std::uint32_t flags, void* userp) {
  Call* call = static_cast<Call*>(userp);
  const std::uint64_t arrived_ns = NowNs();
  const bool final = (flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) != 0;
  if (inner != nullptr) {
    if (!call->responded) {
      call->responded = true;
      call->Metrics().FirstResponse(arrived_ns - call->began_ns);
    }
    const Outcome outcome = SendOn(call->outer, call->ArmName(), inner, flags);
    if (outcome != Outcome::kOk) call->outcome = outcome;
    if (call->factory != nullptr) {
      ReportResponse(*call, arrived_ns, false, TRITONSERVER_InferenceResponseError(inner));
    }
    LogIfError(TRITONSERVER_InferenceResponseDelete(inner), "free an arm's response");
  } else {
    SendFlags(call->outer, flags);
    if (call->factory != nullptr) ReportResponse(*call, arrived_ns, true, nullptr);
  }
  if (!final) return;
  call->answered_ns = arrived_ns;
  call->Metrics().Ended(call->outcome, arrived_ns - call->began_ns);
  CloseOneSide(call);
}

// Hands the request to the arm. On error nothing was started, and `inner` is still the caller's.
Error Submit(Call* call, TRITONSERVER_InferenceRequest** inner) {
  const Router& router = *call->router;
  if (Error error{
          TRITONSERVER_InferenceRequestNew(inner, router.server, call->ArmName(), -1)}) {
    *inner = nullptr;
    // That an arm is absent is the endpoint's trouble, not the caller's mistake.
    return MakeError(
        TRITONSERVER_ERROR_UNAVAILABLE, "endpoint '" + router.policy.endpoint + "' has no arm '" +
                                            call->ArmName() + "' ready: " +
                                            TRITONSERVER_ErrorMessage(error.get()));
  }
  if (Error error = CopyRequest(call->outer, *inner, &call->batch_size)) return error;
  if (!router.batched) call->batch_size = 1;
  if (router.decoupled) {
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ResponseFactoryNew(&call->factory, call->outer));
  }
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_InferenceRequestSetReleaseCallback(*inner, OnReleased, call));
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetResponseCallback(
      *inner, router.allocator, nullptr, OnResponse, call));
  call->submitted_ns = NowNs();
  // On success the callbacks may have run, and `call` be gone, before this returns.
  NEREID_RETURN_IF_ERROR(TRITONSERVER_ServerInferAsync(router.server, *inner, nullptr));
  return nullptr;
}

TRITONSERVER_Error* Allocate(
    TRITONSERVER_ResponseAllocator*, const char*, size_t byte_size, TRITONSERVER_MemoryType,
    std::int64_t, void*, void** buffer, void** buffer_userp, TRITONSERVER_MemoryType* memory,
    std::int64_t* memory_id) {
  *buffer = nullptr;
  *buffer_userp = nullptr;
  *memory = TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  if (byte_size == 0) return nullptr;
  *buffer = std::malloc(byte_size);
  if (*buffer != nullptr) return nullptr;
  return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, "no memory for an arm's output");
}

TRITONSERVER_Error* Deallocate(
    TRITONSERVER_ResponseAllocator*, void* buffer, void*, size_t, TRITONSERVER_MemoryType,
    std::int64_t) {
  std::free(buffer);
  return nullptr;
}

}  // namespace

Error NewAllocator(TRITONSERVER_ResponseAllocator** allocator) {
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_ResponseAllocatorNew(allocator, Allocate, Deallocate, nullptr));
  return nullptr;
}

void Forward(
    Router* router, TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request) {
  Call* call = new Call;
  call->router = router;
  call->instance = instance;
  call->outer = request;
  call->arm = router->picker.Next();
  call->began_ns = NowNs();
  call->Metrics().Began();

  TRITONSERVER_InferenceRequest* inner = nullptr;
  const Error error = Submit(call, &inner);
  if (!error) return;

  if (inner != nullptr) {
    LogIfError(TRITONSERVER_InferenceRequestDelete(inner), "free an inner request");
  }
  SendError(request, call->ArmName(), TRITONSERVER_RESPONSE_COMPLETE_FINAL, error.get());
  const std::uint64_t failed_ns = NowNs();
  call->outcome = OutcomeOf(error.get());
  call->submitted_ns = failed_ns;
  call->answered_ns = failed_ns;
  call->Metrics().Ended(call->outcome, failed_ns - call->began_ns);
  End(call);
}

}  // namespace nereid
