// A native arm for the router's tests: it says what Python models are not shown (the priority), and
// answers in ways they cannot (response parameters, an answer whose end comes apart from it).
#include <chrono>
#include <cstring>
#include <string>

#include "../../../backends/traffic/abi.h"

namespace {

void Drop(TRITONSERVER_Error* error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

void Answer(TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request) {
  std::uint64_t priority = 0;
  Drop(TRITONSERVER_InferenceRequestPriorityUInt64(
      reinterpret_cast<TRITONSERVER_InferenceRequest*>(request), &priority));

  TRITONBACKEND_Input* input = nullptr;
  const char* name = nullptr;
  TRITONSERVER_DataType type = 0;
  const std::int64_t* shape = nullptr;
  std::uint32_t dims = 0;
  std::uint64_t size = 0;
  std::uint32_t buffers = 0;
  Drop(TRITONBACKEND_RequestInputByIndex(request, 0, &input));
  Drop(TRITONBACKEND_InputProperties(input, &name, &type, &shape, &dims, &size, &buffers));

  TRITONBACKEND_Response* response = nullptr;
  TRITONBACKEND_Output* output = nullptr;
  Drop(TRITONBACKEND_ResponseNew(&response, request));
  Drop(TRITONBACKEND_ResponseOutput(response, &output, "y", type, shape, dims));
  void* target = nullptr;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  Drop(TRITONBACKEND_OutputBuffer(output, &target, size, &memory, &memory_id));
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < buffers; ++i) {
    const void* piece = nullptr;
    std::uint64_t piece_size = 0;
    Drop(TRITONBACKEND_InputBuffer(input, i, &piece, &piece_size, &memory, &memory_id));
    std::memcpy(static_cast<char*>(target) + at, piece, piece_size);
    at += piece_size;
  }

  Drop(TRITONBACKEND_ResponseSetStringParameter(response, "spoken", "yes"));
  Drop(TRITONBACKEND_ResponseSetIntParameter(
      response, "priority", static_cast<std::int64_t>(priority)));
  Drop(TRITONBACKEND_ResponseSetBoolParameter(response, "sure", true));
  Drop(TRITONBACKEND_ResponseSetDoubleParameter(response, "half", 0.5));

  // perf_analyzer refuses a model without statistics.
  const auto now = static_cast<std::uint64_t>(
      std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
  Drop(TRITONBACKEND_ModelInstanceReportStatistics(instance, request, true, now, now, now, now));

  // The end comes apart from the answer, and the request is given back before either: all three
  // orders are allowed, and this is the one that a careless router gets wrong.
  TRITONBACKEND_ResponseFactory* factory = nullptr;
  Drop(TRITONBACKEND_ResponseFactoryNew(&factory, request));
  Drop(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
  Drop(TRITONBACKEND_ResponseSend(response, 0, nullptr));
  Drop(TRITONBACKEND_ResponseFactorySendFlags(factory, TRITONSERVER_RESPONSE_COMPLETE_FINAL));
  Drop(TRITONBACKEND_ResponseFactoryDelete(factory));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) TRITONSERVER_Error*
TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) Answer(instance, requests[i]);
  return nullptr;
}
