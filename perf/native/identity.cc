// A native model that gives its input back: what a benchmark or a test calls when the model itself
// must cost next to nothing, or a known time.
//
// The parameter `busy_us` makes each request use that much time of a processor, as a model on a CPU
// does: asleep it would leave its core to the server, and a hop beside it would look cheaper.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "../../backends/traffic/abi.h"

namespace {

void Drop(TRITONSERVER_Error* error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

std::uint64_t NowNs() {
  return static_cast<std::uint64_t>(
      std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

std::uint64_t ThreadTimeNs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void Work(std::uint64_t busy_us) {
  if (busy_us == 0) return;
  const std::uint64_t end = ThreadTimeNs() + busy_us * 1000;
  while (ThreadTimeNs() < end) {
  }
}

// The value of the model's parameter, or 0.
std::uint64_t BusyUs(TRITONBACKEND_Model* model) {
  TRITONSERVER_Message* config = nullptr;
  const char* base = nullptr;
  std::size_t size = 0;
  Drop(TRITONBACKEND_ModelConfig(model, 1, &config));
  Drop(TRITONSERVER_MessageSerializeToJson(config, &base, &size));
  const std::string json(base, size);
  Drop(TRITONSERVER_MessageDelete(config));
  const std::string pattern = R"("busy_us":{"string_value":")";
  const std::size_t at = json.find(pattern);
  return at == std::string::npos ? 0 : std::strtoull(json.c_str() + at + pattern.size(), nullptr, 10);
}

void Answer(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request, std::uint64_t busy_us) {
  const std::uint64_t began = NowNs();
  TRITONBACKEND_Input* input = nullptr;
  TRITONSERVER_DataType type = 0;
  const std::int64_t* shape = nullptr;
  std::uint32_t dims = 0;
  std::uint64_t size = 0;
  std::uint32_t buffers = 0;
  const char* name = nullptr;
  Drop(TRITONBACKEND_RequestInputByIndex(request, 0, &input));
  Drop(TRITONBACKEND_InputProperties(input, &name, &type, &shape, &dims, &size, &buffers));
  Work(busy_us);

  TRITONBACKEND_Response* response = nullptr;
  TRITONBACKEND_Output* output = nullptr;
  Drop(TRITONBACKEND_ResponseNew(&response, request));
  Drop(TRITONBACKEND_ResponseOutput(response, &output, "y", type, shape, dims));
  void* target = nullptr;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  Drop(TRITONBACKEND_OutputBuffer(output, &target, size, &memory, &memory_id));
  char* to = static_cast<char*>(target);
  // A sequence batcher fills its idle slots with requests that nobody waits for: no buffer.
  for (std::uint32_t i = 0; to != nullptr && i < buffers; ++i) {
    const void* piece = nullptr;
    std::uint64_t piece_size = 0;
    Drop(TRITONBACKEND_InputBuffer(input, i, &piece, &piece_size, &memory, &memory_id));
    if (piece_size != 0) std::memcpy(to, piece, piece_size);
    to += piece_size;
  }
  Drop(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, nullptr));
  const std::uint64_t ended = NowNs();
  // perf_analyzer refuses a model without statistics.
  Drop(TRITONBACKEND_ModelInstanceReportStatistics(
      instance, request, true, began, began, ended, ended));
  Drop(TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, 1, began, began, ended, ended));
  Drop(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(
    TRITONBACKEND_Model* model) {
  return TRITONBACKEND_ModelSetState(model, new std::uint64_t(BusyUs(model)));
}

__attribute__((visibility("default"))) TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(
    TRITONBACKEND_Model* model) {
  void* state = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelState(model, &state)) return error;
  delete static_cast<std::uint64_t*>(state);
  return nullptr;
}

__attribute__((visibility("default"))) TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const std::uint32_t count) {
  TRITONBACKEND_Model* model = nullptr;
  void* state = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelInstanceModel(instance, &model)) return error;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelState(model, &state)) return error;
  const std::uint64_t busy_us = *static_cast<const std::uint64_t*>(state);
  for (std::uint32_t i = 0; i < count; ++i) Answer(instance, requests[i], busy_us);
  return nullptr;
}

}  // extern "C"
