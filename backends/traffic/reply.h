// What the caller of an endpoint is sent.
#pragma once

#include <memory>

#include "call.h"

namespace nereid {

struct ResponseDeleter {
  void operator()(TRITONSERVER_InferenceResponse* response) const {
    LogIfError(TRITONSERVER_InferenceResponseDelete(response), "free an arm's response");
  }
};
using InnerResponse = std::unique_ptr<TRITONSERVER_InferenceResponse, ResponseDeleter>;

// All of these first let shadows have their copies of the inputs: with its answer the caller may
// take them back, and Triton's HTTP frontend does so before it releases the request.

// Flags without a response: how a stream may end.
void SendFlags(Call* call, std::uint32_t flags);

// `error` stays the caller's of this function.
void SendError(Call* call, const ArmRecord& arm, std::uint32_t flags, TRITONSERVER_Error* error);

// Gives one good response of the arm to the caller; what went wrong with that, the caller was told.
Error SendOn(
    Call* call, const ArmRecord& arm, TRITONSERVER_InferenceResponse* inner, std::uint32_t flags);

// Where responses are streamed: Triton's statistics count each of them. `inner` null: only flags.
void ReportResponse(
    const Call& call, std::uint64_t start_ns, TRITONSERVER_InferenceResponse* inner,
    TRITONSERVER_Error* error);

}  // namespace nereid
