// The backend's half of the interface: what the router is given, and how it answers.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include "fake_objects.h"

namespace fake {

extern void* backend_state;

namespace {

std::condition_variable caller_done;   // one for all callers: they are many, waits are rare

Request* Outer(TRITONBACKEND_Request* request, const char* function) {
  return Of<Request>(request, Kind::kOuterRequest, function);
}

struct Message : Object {
  Message() : Object(Kind::kMessage) {}
  std::string json;
};

std::unique_ptr<Message> backend_config;  // the server's own, until the backend ends

std::string RequestLogPath() { return "/tmp/nereid-native-" + std::to_string(getpid()) + ".log"; }

}  // namespace

void ForgetBackendConfig() {
  backend_config.reset();
  unlink(RequestLogPath().c_str());
}

bool Caller::Done() const {
  const std::lock_guard<std::mutex> lock(mutex);
  return finals == 1 && released;
}

void Caller::Wait(double seconds) {
  std::unique_lock<std::mutex> lock(mutex);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!(finals == 1 && released)) {
    // Woken by anyone's end; the slice covers one that came between the look and the wait.
    caller_done.wait_for(lock, std::chrono::milliseconds(5));
    if (std::chrono::steady_clock::now() > deadline) {
      Violation(
          "a caller was left waiting: " + std::to_string(finals) + " final answers, " +
          std::to_string(responses) + " responses, the request " +
          (released ? "given back" : "kept") + (error >= 0 ? ", last error: " + message : ""));
    }
  }
}

namespace {

// After the last of the two ends, outside of the lock.
void TellIfEnded(Caller& caller) {
  std::function<void(Caller&)> on_end;
  {
    const std::lock_guard<std::mutex> lock(caller.mutex);
    if (caller.finals != 1 || !caller.released) return;
    on_end.swap(caller.on_end);
  }
  caller_done.notify_all();
  if (on_end) on_end(caller);
}

}  // namespace

void Deliver(
    Caller& caller, const OuterResponse* response, std::uint32_t flags, TRITONSERVER_Error* error) {
  const bool final = (flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) != 0;
  {
    const std::lock_guard<std::mutex> lock(caller.mutex);
    if (caller.finals > 0) Violation("a response was sent after the final one");
    if (response != nullptr) {
      ++caller.responses;
      // An error may follow: the only way left to end what could not be ended.
      if (!caller.decoupled && caller.responses > 1 && error == nullptr) {
        Violation("a second response was sent to the caller of a model that is not decoupled");
      }
      caller.arm = response->arm;
      if (!response->outputs.empty()) caller.output = response->outputs.front()->data;
    }
    if (error != nullptr) {
      caller.error = TRITONSERVER_ErrorCode(error);
      caller.message = TRITONSERVER_ErrorMessage(error);
    }
    if (final) ++caller.finals;
  }
  if (final) TellIfEnded(caller);
}

void Released(const std::shared_ptr<Caller>& caller) {
  {
    const std::lock_guard<std::mutex> lock(caller->mutex);
    if (caller->released) Violation("a request was given back twice");
    caller->released = true;
  }
  TellIfEnded(*caller);
}

}  // namespace fake

using namespace fake;

extern "C" {

TRITONSERVER_Error* TRITONSERVER_MessageSerializeToJson(
    TRITONSERVER_Message* handle, const char** base, std::size_t* byte_size) {
  FAKE_MAY_FAIL();
  const Message* message = Of<Message>(handle, Kind::kMessage, __func__);
  *base = message->json.data();
  *byte_size = message->json.size();
  return nullptr;
}
TRITONSERVER_Error* TRITONSERVER_MessageDelete(TRITONSERVER_Message* message) {
  delete Of<Message>(message, Kind::kMessage, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ApiVersion(std::uint32_t* major, std::uint32_t* minor) {
  FAKE_MAY_FAIL();
  *major = 1;
  *minor = 19;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_BackendConfig(
    TRITONBACKEND_Backend*, TRITONSERVER_Message** config) {
  FAKE_MAY_FAIL();
  if (!backend_config) backend_config = std::make_unique<Message>();
  backend_config->json = R"({"cmdline":{"request-log":")" + RequestLogPath() + R"("}})";
  *config = reinterpret_cast<TRITONSERVER_Message*>(backend_config.get());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_BackendSetState(TRITONBACKEND_Backend*, void* state) {
  FAKE_MAY_FAIL();
  backend_state = state;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_BackendState(TRITONBACKEND_Backend*, void** state) {
  FAKE_MAY_FAIL();
  *state = backend_state;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(
    TRITONBACKEND_BackendAttribute*, const TRITONSERVER_InstanceGroupKind, const std::uint64_t,
    const std::uint64_t*, const std::uint64_t) {
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelName(TRITONBACKEND_Model* model, const char** name) {
  FAKE_MAY_FAIL();
  *name = Of<Model>(model, Kind::kModel, __func__)->name.c_str();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelVersion(TRITONBACKEND_Model* model, std::uint64_t* version) {
  FAKE_MAY_FAIL();
  *version = Of<Model>(model, Kind::kModel, __func__)->version;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelRepository(
    TRITONBACKEND_Model* model, TRITONBACKEND_ArtifactType* kind, const char** location) {
  FAKE_MAY_FAIL();
  *kind = TRITONBACKEND_ARTIFACT_FILESYSTEM;
  *location = Of<Model>(model, Kind::kModel, __func__)->folder.c_str();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelConfig(
    TRITONBACKEND_Model* handle, const std::uint32_t, TRITONSERVER_Message** config) {
  FAKE_MAY_FAIL();
  const Model* model = Of<Model>(handle, Kind::kModel, __func__);
  Message* message = new Message;
  message->json = R"({"name":")" + model->name +
                  R"(","max_batch_size":8,"model_transaction_policy":{"decoupled":)" +
                  (model->decoupled ? "true" : "false") + "}}";
  *config = reinterpret_cast<TRITONSERVER_Message*>(message);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelServer(TRITONBACKEND_Model*, TRITONSERVER_Server** server) {
  FAKE_MAY_FAIL();
  static int the_server = 0;
  *server = reinterpret_cast<TRITONSERVER_Server*>(&the_server);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelBackend(
    TRITONBACKEND_Model*, TRITONBACKEND_Backend** backend) {
  FAKE_MAY_FAIL();
  static int the_backend = 0;
  *backend = reinterpret_cast<TRITONBACKEND_Backend*>(&the_backend);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelState(TRITONBACKEND_Model* model, void** state) {
  FAKE_MAY_FAIL();
  *state = Of<Model>(model, Kind::kModel, __func__)->state;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelSetState(TRITONBACKEND_Model* model, void* state) {
  FAKE_MAY_FAIL();
  Of<Model>(model, Kind::kModel, __func__)->state = state;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceModel(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Model** model) {
  FAKE_MAY_FAIL();
  *model = reinterpret_cast<TRITONBACKEND_Model*>(
      Of<Instance>(instance, Kind::kInstance, __func__)->model);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestId(TRITONBACKEND_Request* request, const char** id) {
  FAKE_MAY_FAIL();
  *id = Outer(request, __func__)->id.c_str();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestFlags(
    TRITONBACKEND_Request* request, std::uint32_t* flags) {
  FAKE_MAY_FAIL();
  *flags = Outer(request, __func__)->flags;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestCorrelationId(
    TRITONBACKEND_Request* request, std::uint64_t* id) {
  FAKE_MAY_FAIL();
  const Request* outer = Outer(request, __func__);
  if (outer->correlation_is_text) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "correlation ID is no number");
  }
  *id = outer->correlation;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestCorrelationIdString(
    TRITONBACKEND_Request* request, const char** id) {
  FAKE_MAY_FAIL();
  const Request* outer = Outer(request, __func__);
  if (!outer->correlation_is_text) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "correlation ID is no string");
  }
  *id = outer->correlation_text.c_str();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_InferenceRequestTimeoutMicroseconds(
    TRITONBACKEND_Request* request, std::uint64_t* timeout_us) {
  FAKE_MAY_FAIL();
  *timeout_us = Outer(request, __func__)->timeout_us;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestParameterCount(
    TRITONBACKEND_Request* request, std::uint32_t* count) {
  FAKE_MAY_FAIL();
  *count = static_cast<std::uint32_t>(Outer(request, __func__)->parameters.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestParameter(
    TRITONBACKEND_Request* request, const std::uint32_t index, const char** key,
    TRITONSERVER_ParameterType* type, const void** value) {
  FAKE_MAY_FAIL();
  const Parameter& parameter = *Outer(request, __func__)->parameters.at(index);
  *key = parameter.name.c_str();
  *type = parameter.type;
  *value = parameter.Value();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestInputCount(
    TRITONBACKEND_Request* request, std::uint32_t* count) {
  FAKE_MAY_FAIL();
  *count = static_cast<std::uint32_t>(Outer(request, __func__)->inputs.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestInputByIndex(
    TRITONBACKEND_Request* request, const std::uint32_t index, TRITONBACKEND_Input** input) {
  FAKE_MAY_FAIL();
  *input = reinterpret_cast<TRITONBACKEND_Input*>(
      Outer(request, __func__)->inputs.at(index).get());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestOutputCount(
    TRITONBACKEND_Request* request, std::uint32_t* count) {
  FAKE_MAY_FAIL();
  *count = static_cast<std::uint32_t>(Outer(request, __func__)->outputs.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestOutputName(
    TRITONBACKEND_Request* request, const std::uint32_t index, const char** name) {
  FAKE_MAY_FAIL();
  *name = Outer(request, __func__)->outputs.at(index).c_str();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_InputProperties(
    TRITONBACKEND_Input* handle, const char** name, TRITONSERVER_DataType* type,
    const std::int64_t** shape, std::uint32_t* dim_count, std::uint64_t* byte_size,
    std::uint32_t* buffer_count) {
  FAKE_MAY_FAIL();
  const Input* input = Of<Input>(handle, Kind::kInput, __func__);
  // What the asker does not want to know it gives no place for.
  if (name != nullptr) *name = input->name.c_str();
  if (type != nullptr) *type = input->type;
  if (shape != nullptr) *shape = input->shape.data();
  if (dim_count != nullptr) *dim_count = static_cast<std::uint32_t>(input->shape.size());
  if (byte_size != nullptr) {
    *byte_size = 0;
    for (const Piece& piece : input->pieces) *byte_size += piece.size;
  }
  if (buffer_count != nullptr) *buffer_count = static_cast<std::uint32_t>(input->pieces.size());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_InputBuffer(
    TRITONBACKEND_Input* handle, const std::uint32_t index, const void** buffer,
    std::uint64_t* byte_size, TRITONSERVER_MemoryType* memory, std::int64_t* memory_id) {
  FAKE_MAY_FAIL();
  const Piece& piece = Of<Input>(handle, Kind::kInput, __func__)->pieces.at(index);
  *buffer = piece.base;
  *byte_size = piece.size;
  *memory = piece.on_device ? TRITONSERVER_MEMORY_GPU : TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestIsCancelled(
    TRITONBACKEND_Request* request, bool* is_cancelled) {
  FAKE_MAY_FAIL();
  *is_cancelled = Outer(request, __func__)->caller->cancelled.load();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestTrace(
    TRITONBACKEND_Request* request, TRITONSERVER_InferenceTrace** trace) {
  FAKE_MAY_FAIL();
  *trace = reinterpret_cast<TRITONSERVER_InferenceTrace*>(Outer(request, __func__)->trace.get());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_RequestRelease(
    TRITONBACKEND_Request* request, std::uint32_t flags) {
  if (flags != TRITONSERVER_REQUEST_RELEASE_ALL) Violation("released with unknown flags");
  // The request is what keeps the model, whose thread is not through with it.
  if (executes && submits > 0) Violation("a request was released while it was handed to its arm");
  std::unique_ptr<Request> outer(Outer(request, __func__));
  const std::shared_ptr<Caller> caller = outer->caller;
  // The inputs go first, then perhaps the router itself, which this request may have kept loaded.
  outer.reset();
  Released(caller);
  FAKE_MAY_FAIL();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseNew(
    TRITONBACKEND_Response** response, TRITONBACKEND_Request* request) {
  FAKE_MAY_FAIL();
  OuterResponse* made = new OuterResponse;
  made->caller = Outer(request, __func__)->caller;
  *response = reinterpret_cast<TRITONBACKEND_Response*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseNewFromFactory(
    TRITONBACKEND_Response** response, TRITONBACKEND_ResponseFactory* factory) {
  FAKE_MAY_FAIL();
  OuterResponse* made = new OuterResponse;
  made->caller = Of<Factory>(factory, Kind::kFactory, __func__)->caller;
  *response = reinterpret_cast<TRITONBACKEND_Response*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseDelete(TRITONBACKEND_Response* response) {
  delete Of<OuterResponse>(response, Kind::kOuterResponse, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseSetStringParameter(
    TRITONBACKEND_Response* handle, const char* name, const char* value) {
  FAKE_MAY_FAIL();
  OuterResponse* response = Of<OuterResponse>(handle, Kind::kOuterResponse, __func__);
  if (std::string(name) == "nereid_arm") {
    if (!response->arm.empty()) Violation("an answer names its arm twice");
    response->arm = value;
  }
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseSetIntParameter(
    TRITONBACKEND_Response* response, const char*, const std::int64_t) {
  FAKE_MAY_FAIL();
  Of<OuterResponse>(response, Kind::kOuterResponse, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseSetBoolParameter(
    TRITONBACKEND_Response* response, const char*, const bool) {
  FAKE_MAY_FAIL();
  Of<OuterResponse>(response, Kind::kOuterResponse, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseSetDoubleParameter(
    TRITONBACKEND_Response* response, const char*, const double) {
  FAKE_MAY_FAIL();
  Of<OuterResponse>(response, Kind::kOuterResponse, __func__);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseOutput(
    TRITONBACKEND_Response* handle, TRITONBACKEND_Output** output, const char* name,
    const TRITONSERVER_DataType, const std::int64_t*, const std::uint32_t) {
  FAKE_MAY_FAIL();
  OuterResponse* response = Of<OuterResponse>(handle, Kind::kOuterResponse, __func__);
  response->outputs.push_back(std::make_unique<Output>());
  response->outputs.back()->name = name;
  response->outputs.back()->on_device = response->caller->on_device;
  *output = reinterpret_cast<TRITONBACKEND_Output*>(response->outputs.back().get());
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_OutputBuffer(
    TRITONBACKEND_Output* handle, void** buffer, const std::uint64_t byte_size,
    TRITONSERVER_MemoryType* memory, std::int64_t* memory_id) {
  FAKE_MAY_FAIL();
  Output* output = Of<Output>(handle, Kind::kOutput, __func__);
  if (output->allocated) Violation("an output was given a buffer twice");
  output->allocated = true;
  output->data.resize(byte_size);
  *buffer = output->on_device ? OnDevice(output->data.data()) : output->data.data();
  *memory = output->on_device ? TRITONSERVER_MEMORY_GPU : TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseSend(
    TRITONBACKEND_Response* handle, const std::uint32_t flags, TRITONSERVER_Error* error) {
  const std::unique_ptr<OuterResponse> response(
      Of<OuterResponse>(handle, Kind::kOuterResponse, __func__));
  if (error != nullptr) Of<ErrorObject>(error, Kind::kError, __func__);
  const std::shared_ptr<Caller> caller = response->caller;
  Deliver(*caller, response.get(), flags, error);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryNew(
    TRITONBACKEND_ResponseFactory** factory, TRITONBACKEND_Request* request) {
  FAKE_MAY_FAIL();
  Factory* made = new Factory;
  made->caller = Outer(request, __func__)->caller;
  *factory = reinterpret_cast<TRITONBACKEND_ResponseFactory*>(made);
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryDelete(TRITONBACKEND_ResponseFactory* factory) {
  delete Of<Factory>(factory, Kind::kFactory, __func__);
  FAKE_MAY_FAIL();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryIsCancelled(
    TRITONBACKEND_ResponseFactory* factory, bool* is_cancelled) {
  FAKE_MAY_FAIL();
  *is_cancelled = Of<Factory>(factory, Kind::kFactory, __func__)->caller->cancelled.load();
  return nullptr;
}
TRITONSERVER_Error* TRITONBACKEND_ResponseFactorySendFlags(
    TRITONBACKEND_ResponseFactory* factory, const std::uint32_t flags) {
  const std::shared_ptr<Caller> caller =
      Of<Factory>(factory, Kind::kFactory, __func__)->caller;
  Deliver(*caller, nullptr, flags, nullptr);
  FAKE_MAY_FAIL();
  return nullptr;
}

}  // extern "C"
