// A model that calls another model of its own server, as often as it is told, and reports who
// answered: load without a network, for counts that must be exact and for millions of requests.
//
// Request parameters: `model`, `requests`, `concurrency`, `bytes`. The answer `report` is a JSON
// object: outcomes, answers by arm, seconds, and latencies in microseconds.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../../backends/traffic/abi.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMostLatencies = 100'000;

void Drop(TRITONSERVER_Error* error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

struct Task {
  std::string model;
  std::int64_t requests = 1;
  std::int64_t concurrency = 1;
  std::int64_t bytes = 64;
};

struct Run;

// One caller after another's answer: its counts need no lock.
struct Chain {
  Run* run = nullptr;
  Clock::time_point sent;
  std::map<std::string, std::uint64_t> arms;
  std::map<std::string, std::uint64_t> errors;
  std::vector<float> latencies_us;
};

struct Run {
  Task task;
  TRITONSERVER_Server* server = nullptr;
  TRITONSERVER_ResponseAllocator* allocator = nullptr;
  std::vector<char> input;
  std::vector<std::unique_ptr<Chain>> chains;
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t chains_open = 0;
  std::atomic<std::int64_t> unreleased{0};
};

void Send(Chain* chain);

void OnReleased(TRITONSERVER_InferenceRequest* request, const std::uint32_t, void* userp) {
  Run* const run = static_cast<Run*>(userp);
  Drop(TRITONSERVER_InferenceRequestDelete(request));
  const std::lock_guard<std::mutex> lock(run->mutex);
  if (run->unreleased.fetch_sub(1) == 1) run->changed.notify_all();
}

std::string ArmOf(TRITONSERVER_InferenceResponse* response) {
  std::uint32_t count = 0;
  Drop(TRITONSERVER_InferenceResponseParameterCount(response, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* value = nullptr;
    Drop(TRITONSERVER_InferenceResponseParameter(response, i, &name, &type, &value));
    if (std::strcmp(name, "nereid_arm") == 0) return static_cast<const char*>(value);
  }
  return "";
}

void OnResponse(
    TRITONSERVER_InferenceResponse* response, const std::uint32_t flags, void* userp) {
  Chain* const chain = static_cast<Chain*>(userp);
  if (response != nullptr) {
    if (TRITONSERVER_Error* error = TRITONSERVER_InferenceResponseError(response)) {
      ++chain->errors[TRITONSERVER_ErrorMessage(error)];
      TRITONSERVER_ErrorDelete(error);
    } else {
      ++chain->arms[ArmOf(response)];
    }
    Drop(TRITONSERVER_InferenceResponseDelete(response));
  }
  if ((flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) == 0) return;
  if (chain->latencies_us.size() < chain->latencies_us.capacity()) {
    chain->latencies_us.push_back(
        std::chrono::duration<float, std::micro>(Clock::now() - chain->sent).count());
  }
  Send(chain);
}

void EndChain(Chain* chain) {
  const std::lock_guard<std::mutex> lock(chain->run->mutex);
  --chain->run->chains_open;
  chain->run->changed.notify_all();
}

TRITONSERVER_Error* Fill(Chain* chain, TRITONSERVER_InferenceRequest* request) {
  Run* const run = chain->run;
  const std::int64_t shape[] = {1, run->task.bytes};
  constexpr TRITONSERVER_DataType kUint8 = 2;
  if (auto* error = TRITONSERVER_InferenceRequestAddInput(request, "x", kUint8, shape, 2)) {
    return error;
  }
  if (auto* error = TRITONSERVER_InferenceRequestAppendInputData(
          request, "x", run->input.data(), run->input.size(), TRITONSERVER_MEMORY_CPU, 0)) {
    return error;
  }
  if (auto* error = TRITONSERVER_InferenceRequestSetReleaseCallback(request, OnReleased, run)) {
    return error;
  }
  return TRITONSERVER_InferenceRequestSetResponseCallback(
      request, run->allocator, nullptr, OnResponse, chain);
}

void Send(Chain* chain) {
  Run* const run = chain->run;
  while (run->next.fetch_add(1) < run->task.requests) {
    TRITONSERVER_InferenceRequest* request = nullptr;
    chain->sent = Clock::now();
    run->unreleased.fetch_add(1);
    TRITONSERVER_Error* error = TRITONSERVER_InferenceRequestNew(
        &request, run->server, run->task.model.c_str(), -1);
    if (error == nullptr) error = Fill(chain, request);
    if (error == nullptr) error = TRITONSERVER_ServerInferAsync(run->server, request, nullptr);
    if (error == nullptr) return;   // OnResponse goes on
    ++chain->errors[TRITONSERVER_ErrorMessage(error)];
    TRITONSERVER_ErrorDelete(error);
    if (request != nullptr) Drop(TRITONSERVER_InferenceRequestDelete(request));
    run->unreleased.fetch_sub(1);
  }
  EndChain(chain);
}

TRITONSERVER_Error* Allocate(
    TRITONSERVER_ResponseAllocator*, const char*, std::size_t size, TRITONSERVER_MemoryType,
    std::int64_t, void*, void** buffer, void** buffer_userp, TRITONSERVER_MemoryType* memory,
    std::int64_t* memory_id) {
  *buffer = size == 0 ? nullptr : std::malloc(size);
  *buffer_userp = nullptr;
  *memory = TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  return nullptr;
}

TRITONSERVER_Error* Deallocate(
    TRITONSERVER_ResponseAllocator*, void* buffer, void*, std::size_t, TRITONSERVER_MemoryType,
    std::int64_t) {
  std::free(buffer);
  return nullptr;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c < ' ' ? ' ' : c;
  }
  return quoted + "\"";
}

std::string Counts(const std::map<std::string, std::uint64_t>& counts) {
  std::string text = "{";
  for (const auto& [name, count] : counts) {
    text += (text.size() > 1 ? "," : "") + Quoted(name) + ":" + std::to_string(count);
  }
  return text + "}";
}

std::string ReportOf(const Run& run, double seconds) {
  std::map<std::string, std::uint64_t> arms;
  std::map<std::string, std::uint64_t> errors;
  std::vector<float> latencies;
  for (const auto& chain : run.chains) {
    for (const auto& [arm, count] : chain->arms) arms[arm] += count;
    for (const auto& [message, count] : chain->errors) errors[message] += count;
    latencies.insert(latencies.end(), chain->latencies_us.begin(), chain->latencies_us.end());
  }
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&latencies](double q) {
    if (latencies.empty()) return 0.0;
    return static_cast<double>(
        latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))]);
  };
  return "{\"arms\":" + Counts(arms) + ",\"errors\":" + Counts(errors) +
         ",\"seconds\":" + std::to_string(seconds) + ",\"p50_us\":" +
         std::to_string(quantile(0.5)) + ",\"p90_us\":" + std::to_string(quantile(0.9)) +
         ",\"p99_us\":" + std::to_string(quantile(0.99)) + "}";
}

std::string Drive(const Task& task, TRITONSERVER_Server* server) {
  Run run;
  run.task = task;
  run.server = server;
  run.input.assign(static_cast<std::size_t>(task.bytes), 'x');
  Drop(TRITONSERVER_ResponseAllocatorNew(&run.allocator, Allocate, Deallocate, nullptr));
  run.chains_open = task.concurrency;
  for (std::int64_t i = 0; i < task.concurrency; ++i) {
    run.chains.push_back(std::make_unique<Chain>());
    run.chains.back()->run = &run;
    run.chains.back()->latencies_us.reserve(
        std::min<std::size_t>(kMostLatencies, static_cast<std::size_t>(task.requests)) /
        static_cast<std::size_t>(task.concurrency));
  }
  const Clock::time_point began = Clock::now();
  for (const auto& chain : run.chains) Send(chain.get());
  std::unique_lock<std::mutex> lock(run.mutex);
  run.changed.wait(lock, [&run] { return run.chains_open == 0 && run.unreleased.load() == 0; });
  lock.unlock();
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  Drop(TRITONSERVER_ResponseAllocatorDelete(run.allocator));
  return ReportOf(run, seconds);
}

Task TaskOf(TRITONBACKEND_Request* request) {
  Task task;
  std::uint32_t count = 0;
  Drop(TRITONBACKEND_RequestParameterCount(request, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* key = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* value = nullptr;
    Drop(TRITONBACKEND_RequestParameter(request, i, &key, &type, &value));
    const std::string name = key;
    if (type == TRITONSERVER_PARAMETER_STRING && name == "model") {
      task.model = static_cast<const char*>(value);
    }
    if (type != TRITONSERVER_PARAMETER_INT) continue;
    const std::int64_t number = *static_cast<const std::int64_t*>(value);
    if (name == "requests") task.requests = number;
    if (name == "concurrency") task.concurrency = std::max<std::int64_t>(number, 1);
    if (name == "bytes") task.bytes = number;
  }
  return task;
}

void Answer(TRITONBACKEND_Request* request, const std::string& report) {
  TRITONBACKEND_Response* response = nullptr;
  TRITONBACKEND_Output* output = nullptr;
  const std::int64_t shape[] = {1};
  constexpr TRITONSERVER_DataType kBytes = 13;
  Drop(TRITONBACKEND_ResponseNew(&response, request));
  Drop(TRITONBACKEND_ResponseOutput(response, &output, "report", kBytes, shape, 1));
  const auto length = static_cast<std::uint32_t>(report.size());
  void* target = nullptr;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  Drop(TRITONBACKEND_OutputBuffer(
      output, &target, sizeof(length) + length, &memory, &memory_id));
  std::memcpy(target, &length, sizeof(length));
  std::memcpy(static_cast<char*>(target) + sizeof(length), report.data(), length);
  Drop(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, nullptr));
  Drop(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) TRITONSERVER_Error*
TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const std::uint32_t count) {
  TRITONBACKEND_Model* model = nullptr;
  TRITONSERVER_Server* server = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelInstanceModel(instance, &model)) return error;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelServer(model, &server)) return error;
  for (std::uint32_t i = 0; i < count; ++i) Answer(requests[i], Drive(TaskOf(requests[i]), server));
  return nullptr;
}
