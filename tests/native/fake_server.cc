// The server's own half: errors, parameters, inner requests and their responses.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fake_objects.h"

namespace fake {

std::atomic<std::int64_t> live_objects[static_cast<int>(Kind::kCount)];

namespace {

constexpr const char* kKindNames[] = {
    "error", "inner request", "outer request", "input", "inner response", "outer response",
    "output", "response factory", "trace", "parameter", "message", "allocator", "report", "metric family",
    "metric", "metric arguments", "model", "instance", "output buffer"};

std::atomic<std::int64_t> calls{0};
std::atomic<std::int64_t> fail_at{0};
std::atomic<const char*> failed{nullptr};
std::string always;   // set while nothing runs
std::atomic<bool> any_always{false};
std::atomic<std::uint64_t> errors_logged{0};
std::atomic<bool> quiet{false};

std::string Describe(Kind first, Kind last) {
  std::string text;
  for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
    const std::int64_t count = live_objects[i].load();
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + std::string(kKindNames[i]) + " " + std::to_string(count);
  }
  return text;
}

thread_local bool getters_spared = false;

}  // namespace

SpareGetters::SpareGetters() { getters_spared = true; }
SpareGetters::~SpareGetters() { getters_spared = false; }

void Violation(const std::string& what) {
  std::fprintf(stderr, "VIOLATION: %s\n", what.c_str());
  const std::string made_to_fail = any_always.load() ? always : FailedFunction();
  if (!made_to_fail.empty()) {
    std::fprintf(stderr, "  with %s made to fail\n", made_to_fail.c_str());
  }
  if (CallsSince() > 0) {
    std::fprintf(stderr, "  after %lld calls\n", static_cast<long long>(CallsSince()));
  }
  std::fflush(nullptr);
  std::abort();
}

std::int64_t Live(Kind kind) { return live_objects[static_cast<int>(kind)].load(); }

std::string LiveOfRequests() {
  std::string text = Describe(Kind::kError, Kind::kParameter);
  const std::string more = Describe(Kind::kReport, Kind::kReport);
  const std::string buffers = Describe(Kind::kBuffer, Kind::kBuffer);
  for (const std::string& part : {more, buffers}) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::string LiveOfBackend() { return Describe(Kind::kError, Kind::kBuffer); }

void FailNth(std::int64_t nth) {
  failed.store(nullptr);
  calls.store(0);
  fail_at.store(nth);
}

void FailAlways(const std::string& function) {
  always = function;
  any_always.store(!function.empty());
}

std::int64_t CallsSince() { return calls.load(); }

std::string FailedFunction() {
  const char* name = failed.load();
  return name == nullptr ? "" : name;
}

bool Fails(const char* function) {
  if (getters_spared && (std::strcmp(function, "TRITONBACKEND_BackendState") == 0 ||
                         std::strcmp(function, "TRITONBACKEND_ModelState") == 0)) {
    return false;
  }
  const std::int64_t call = calls.fetch_add(1, std::memory_order_relaxed) + 1;
  if (call == fail_at.load(std::memory_order_relaxed)) {
    failed.store(function);
    return true;
  }
  return any_always.load(std::memory_order_acquire) && always == function;
}

TRITONSERVER_Error* Failure(const char* function) {
  return TRITONSERVER_ErrorNew(
      TRITONSERVER_ERROR_INTERNAL, (std::string(function) + " was made to fail").c_str());
}

std::uint64_t ErrorsLogged() { return errors_logged.load(); }
void Quiet(bool value) { quiet.store(value); }

Parameter::Parameter(const char* n, TRITONSERVER_ParameterType t, const void* value)
    : Object(Kind::kParameter), name(n), type(t) {
  switch (type) {
    case TRITONSERVER_PARAMETER_STRING: text = static_cast<const char*>(value); break;
    case TRITONSERVER_PARAMETER_INT: number = *static_cast<const std::int64_t*>(value); break;
    case TRITONSERVER_PARAMETER_BOOL: truth = *static_cast<const bool*>(value); break;
    case TRITONSERVER_PARAMETER_DOUBLE: real = *static_cast<const double*>(value); break;
    default: Violation("a parameter of a type that the server does not take");
  }
}

const void* Parameter::Value() const {
  switch (type) {
    case TRITONSERVER_PARAMETER_STRING: return text.c_str();
    case TRITONSERVER_PARAMETER_INT: return &number;
    case TRITONSERVER_PARAMETER_BOOL: return &truth;
    default: return &real;
  }
}

namespace {

Request* Inner(TRITONSERVER_InferenceRequest* handle, const char* function) {
  Request* request = Of<Request>(handle, Kind::kInnerRequest, function);
  if (request->state.load() == Request::State::kRunning) {
    Violation(std::string(function) + ": the inner request is running, it is the server's");
  }
  return request;
}

Input* Find(Request* request, const char* name, const char* function) {
  for (const auto& input : request->inputs) {
    if (input->name == name) return input.get();
  }
  Violation(std::string(function) + ": there is no input " + name);
}

TRITONSERVER_Error* AddParameter(
    TRITONSERVER_InferenceRequest* handle, const char* key, TRITONSERVER_ParameterType type,
    const void* value, const char* function) {
  Inner(handle, function)->parameters.push_back(std::make_unique<Parameter>(key, type, value));
  return nullptr;
}

}  // namespace
}  // namespace fake

using namespace fake;

extern "C" {

TRITONSERVER_Error* TRITONSERVER_ErrorNew(TRITONSERVER_Error_Code code, const char* message) {
  return reinterpret_cast<TRITONSERVER_Error*>(new ErrorObject(code, message));
}
void TRITONSERVER_ErrorDelete(TRITONSERVER_Error* error) {
  if (error != nullptr) delete Of<ErrorObject>(error, Kind::kError, __func__);
}
TRITONSERVER_Error_Code TRITONSERVER_ErrorCode(TRITONSERVER_Error* error) {
  return Of<ErrorObject>(error, Kind::kError, __func__)->code;
}
const char* TRITONSERVER_ErrorMessage(TRITONSERVER_Error* error) {
  return Of<ErrorObject>(error, Kind::kError, __func__)->message.c_str();
}

TRITONSERVER_Error* TRITONSERVER_LogMessage(
    TRITONSERVER_LogLevel level, const char*, const int, const char* message) {
  FAKE_MAY_FAIL();
  if (level == TRITONSERVER_LOG_ERROR) ++errors_logged;
  if (!quiet.load()) std::fprintf(stderr, "  log %d: %s\n", static_cast<int>(level), message);
  return nullptr;
}

TRITONSERVER_Parameter* TRITONSERVER_ParameterNew(
    const char* name, const TRITONSERVER_ParameterType type, const void* value) {
  return reinterpret_cast<TRITONSERVER_Parameter*>(new Parameter(name, type, value));
}
void TRITONSERVER_ParameterDelete(TRITONSERVER_Parameter* parameter) {
  delete Of<Parameter>(parameter, Kind::kParameter, __func__);
}

TRITONSERVER_Error* TRITONSERVER_ResponseAllocatorNew(
    TRITONSERVER_ResponseAllocator** allocator, TRITONSERVER_ResponseAllocatorAllocFn_t allocate,
    TRITONSERVER_ResponseAllocatorReleaseFn_t release,
    TRITONSERVER_ResponseAllocatorStartFn_t start) {
  FAKE_MAY_FAIL();
  Allocator* made = new Allocator;
  made->allocate = allocate;
  made->release = release;
  made->start = start;
  *allocator = reinterpret_cast<TRITONSERVER_ResponseAllocator*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_ResponseAllocatorDelete(
    TRITONSERVER_ResponseAllocator* allocator) {
  delete Of<Allocator>(allocator, Kind::kAllocator, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_InferenceRequestNew(
    TRITONSERVER_InferenceRequest** request, TRITONSERVER_Server*, const char* model_name,
    const std::int64_t) {
  FAKE_MAY_FAIL();
  if (!ArmExists(model_name)) {
    return TRITONSERVER_ErrorNew(
        TRITONSERVER_ERROR_NOT_FOUND,
        ("Request for unknown model: '" + std::string(model_name) + "' is not found").c_str());
  }
  Request* made = new Request(Kind::kInnerRequest);
  made->arm = model_name;
  *request = reinterpret_cast<TRITONSERVER_InferenceRequest*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestDelete(TRITONSERVER_InferenceRequest* request) {
  delete Inner(request, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetId(
    TRITONSERVER_InferenceRequest* request, const char* id) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->id = id;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetFlags(
    TRITONSERVER_InferenceRequest* request, std::uint32_t flags) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->flags = flags;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetCorrelationId(
    TRITONSERVER_InferenceRequest* request, std::uint64_t id) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->correlation = id;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetCorrelationIdString(
    TRITONSERVER_InferenceRequest* request, const char* id) {
  FAKE_MAY_FAIL();
  Request* inner = Inner(request, __func__);
  inner->correlation_is_text = true;
  inner->correlation_text = id;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestPriorityUInt64(
    TRITONSERVER_InferenceRequest* request, std::uint64_t* priority) {
  FAKE_MAY_FAIL();
  Request* any = reinterpret_cast<Request*>(request);
  *priority = Of<Request>(request, any->kind, __func__)->priority;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetPriorityUInt64(
    TRITONSERVER_InferenceRequest* request, std::uint64_t priority) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->priority = priority;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetTimeoutMicroseconds(
    TRITONSERVER_InferenceRequest* request, std::uint64_t timeout_us) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->timeout_us = timeout_us;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestAddInput(
    TRITONSERVER_InferenceRequest* request, const char* name, const TRITONSERVER_DataType type,
    const std::int64_t* shape, std::uint64_t dim_count) {
  FAKE_MAY_FAIL();
  auto input = std::make_unique<Input>();
  input->name = name;
  input->type = type;
  input->shape.assign(shape, shape + dim_count);
  Inner(request, __func__)->inputs.push_back(std::move(input));
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestAppendInputData(
    TRITONSERVER_InferenceRequest* request, const char* name, const void* base,
    std::size_t byte_size, TRITONSERVER_MemoryType memory, std::int64_t) {
  FAKE_MAY_FAIL();
  const bool on_device = memory == TRITONSERVER_MEMORY_GPU;
  Find(Inner(request, __func__), name, __func__)->pieces.push_back({base, byte_size, on_device});
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestAddRequestedOutput(
    TRITONSERVER_InferenceRequest* request, const char* name) {
  FAKE_MAY_FAIL();
  Inner(request, __func__)->outputs.push_back(name);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetReleaseCallback(
    TRITONSERVER_InferenceRequest* request, TRITONSERVER_InferenceRequestReleaseFn_t release,
    void* userp) {
  FAKE_MAY_FAIL();
  Request* inner = Inner(request, __func__);
  inner->release = release;
  inner->release_userp = userp;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetResponseCallback(
    TRITONSERVER_InferenceRequest* request, TRITONSERVER_ResponseAllocator* allocator,
    void* allocator_userp, TRITONSERVER_InferenceResponseCompleteFn_t complete, void* userp) {
  FAKE_MAY_FAIL();
  Request* inner = Inner(request, __func__);
  inner->allocator = allocator;
  inner->allocator_userp = allocator_userp;
  inner->complete = complete;
  inner->complete_userp = userp;
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetStringParameter(
    TRITONSERVER_InferenceRequest* request, const char* key, const char* value) {
  FAKE_MAY_FAIL();
  return AddParameter(request, key, TRITONSERVER_PARAMETER_STRING, value, __func__);
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetIntParameter(
    TRITONSERVER_InferenceRequest* request, const char* key, const std::int64_t value) {
  FAKE_MAY_FAIL();
  return AddParameter(request, key, TRITONSERVER_PARAMETER_INT, &value, __func__);
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetBoolParameter(
    TRITONSERVER_InferenceRequest* request, const char* key, const bool value) {
  FAKE_MAY_FAIL();
  return AddParameter(request, key, TRITONSERVER_PARAMETER_BOOL, &value, __func__);
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestSetDoubleParameter(
    TRITONSERVER_InferenceRequest* request, const char* key, const double value) {
  FAKE_MAY_FAIL();
  return AddParameter(request, key, TRITONSERVER_PARAMETER_DOUBLE, &value, __func__);
}
TRITONSERVER_Error* TRITONSERVER_InferenceRequestCancel(TRITONSERVER_InferenceRequest* request) {
  FAKE_MAY_FAIL();
  // Read without a lock, as the server does.
  const std::shared_ptr<Channel>& channel =
      Of<Request>(request, Kind::kInnerRequest, __func__)->channel;
  // The server answers this with an error, and has a race if it comes beside the submit itself.
  if (channel == nullptr) Violation("an inner request was cancelled before it was submitted");
  channel->cancelled.store(true);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceTraceSpawnChildTrace(
    TRITONSERVER_InferenceTrace* parent, TRITONSERVER_InferenceTrace** child) {
  FAKE_MAY_FAIL();
  Trace* made = new Trace(Of<Trace>(parent, Kind::kTrace, __func__));
  *child = reinterpret_cast<TRITONSERVER_InferenceTrace*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_ServerInferAsync(
    TRITONSERVER_Server*, TRITONSERVER_InferenceRequest* request,
    TRITONSERVER_InferenceTrace* trace) {
  std::unique_ptr<Trace> taken;
  if (trace != nullptr) {
    taken.reset(Of<Trace>(trace, Kind::kTrace, __func__));
    if (taken->parent == nullptr) Violation("an inner request was given its caller's own trace");
    if (!taken->parent->load()) Violation("a trace was begun after its parent had ended");
  }
  FAKE_MAY_FAIL();
  Request* inner = Inner(request, __func__);
  inner->trace = std::move(taken);
  if (inner->release == nullptr || inner->complete == nullptr || inner->allocator == nullptr) {
    Violation("an inner request was submitted without its callbacks");
  }
  inner->channel = std::make_shared<Channel>();
  ++submits;
  TRITONSERVER_Error* error = SubmitToArm(inner);
  --submits;
  return error;
}

TRITONSERVER_Error* TRITONSERVER_InferenceResponseDelete(
    TRITONSERVER_InferenceResponse* handle) {
  InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  for (const InnerOutput& output : response->outputs) {
    if (output.buffer == nullptr) continue;
    --live_objects[static_cast<int>(Kind::kBuffer)];
    TRITONSERVER_ErrorDelete(response->allocator->release(
        reinterpret_cast<TRITONSERVER_ResponseAllocator*>(response->allocator), output.buffer,
        output.buffer_userp, output.size, TRITONSERVER_MEMORY_CPU, 0));
  }
  delete response;
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceResponseError(TRITONSERVER_InferenceResponse* handle) {
  const InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  // The header says that the response keeps it. The server makes a new one at each call, which
  // nobody but the caller can free; so does this one.
  if (response->error < 0) return nullptr;
  return TRITONSERVER_ErrorNew(
      static_cast<TRITONSERVER_Error_Code>(response->error), response->message.c_str());
}
TRITONSERVER_Error* TRITONSERVER_InferenceResponseParameterCount(
    TRITONSERVER_InferenceResponse* handle, std::uint32_t* count) {
  FAKE_MAY_FAIL();
  const InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  *count = static_cast<std::uint32_t>(response->parameters.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceResponseParameter(
    TRITONSERVER_InferenceResponse* handle, const std::uint32_t index, const char** name,
    TRITONSERVER_ParameterType* type, const void** value) {
  FAKE_MAY_FAIL();
  const InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  const Parameter& parameter = *response->parameters.at(index);
  *name = parameter.name.c_str();
  *type = parameter.type;
  *value = parameter.Value();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceResponseOutputCount(
    TRITONSERVER_InferenceResponse* handle, std::uint32_t* count) {
  FAKE_MAY_FAIL();
  const InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  *count = static_cast<std::uint32_t>(response->outputs.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_InferenceResponseOutput(
    TRITONSERVER_InferenceResponse* handle, const std::uint32_t index, const char** name,
    TRITONSERVER_DataType* type, const std::int64_t** shape, std::uint64_t* dim_count,
    const void** base, std::size_t* byte_size, TRITONSERVER_MemoryType* memory,
    std::int64_t* memory_id, void** userp) {
  FAKE_MAY_FAIL();
  const InnerResponse* response = Of<InnerResponse>(handle, Kind::kInnerResponse, __func__);
  const InnerOutput& output = response->outputs.at(index);
  *name = output.name.c_str();
  *type = output.datatype;
  *shape = output.shape.data();
  *dim_count = output.shape.size();
  *base = output.buffer;
  *byte_size = output.size;
  *memory = TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  *userp = output.buffer_userp;
  return nullptr;
}

}  // extern "C"
