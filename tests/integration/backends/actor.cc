// A native arm that does what a request's parameters tell it: answer late, fail with a given code,
// answer many times, watch for its own cancellation. What it is told as `say.<name>` is a parameter
// `<name>` of each of its answers.
//
// Of `v2.fail` and `fail` the arm whose model is called `<name>.v2.<digest>` obeys the first, and an
// arm of another version the second alone: so one request steers every arm it may come to.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../../../backends/traffic/abi.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kLook = std::chrono::microseconds(250);

std::atomic<int> late_answers{0};  // threads that still run code of this library

void Drop(TRITONSERVER_Error* error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

bool Well(TRITONSERVER_Error* error) {
  Drop(error);
  return error == nullptr;
}

struct Script {
  std::string fail;            // a code: answer with it instead of a result
  std::string end_with;        // a code: after all results
  std::string log;             // a file that gets a line for what the arm sees
  std::int64_t delay_ms = 0;   // before the first answer
  std::int64_t gap_ms = 0;     // between answers
  std::int64_t responses = 1;
  std::int64_t add = 0;        // to every element
  bool reverse = false;        // the row
  bool stubborn = false;       // works on when cancelled
};

struct Arm {
  std::string version;  // "v2"
  float factor = 1;
};

TRITONSERVER_Error_Code CodeOf(const std::string& name) {
  if (name == "INTERNAL") return TRITONSERVER_ERROR_INTERNAL;
  if (name == "NOT_FOUND") return TRITONSERVER_ERROR_NOT_FOUND;
  if (name == "INVALID_ARG") return TRITONSERVER_ERROR_INVALID_ARG;
  if (name == "UNAVAILABLE") return TRITONSERVER_ERROR_UNAVAILABLE;
  if (name == "UNSUPPORTED") return TRITONSERVER_ERROR_UNSUPPORTED;
  if (name == "ALREADY_EXISTS") return TRITONSERVER_ERROR_ALREADY_EXISTS;
  if (name == "CANCELLED") return TRITONSERVER_ERROR_CANCELLED;
  return TRITONSERVER_ERROR_UNKNOWN;
}

void Obey(Script* script, const std::string& verb, const char* text, std::int64_t number) {
  if (verb == "fail") script->fail = text;
  if (verb == "end_with") script->end_with = text;
  if (verb == "log") script->log = text;
  if (verb == "delay_ms") script->delay_ms = number;
  if (verb == "gap_ms") script->gap_ms = number;
  if (verb == "responses") script->responses = number;
  if (verb == "add") script->add = number;
  if (verb == "reverse") script->reverse = number != 0;
  if (verb == "stubborn") script->stubborn = number != 0;
}

Script Read(TRITONBACKEND_Request* request, const Arm& arm) {
  Script script;
  std::uint32_t count = 0;
  Drop(TRITONBACKEND_RequestParameterCount(request, &count));
  for (const bool own : {false, true}) {  // its own orders after the common ones
    for (std::uint32_t i = 0; i < count; ++i) {
      const char* key = nullptr;
      TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
      const void* value = nullptr;
      Drop(TRITONBACKEND_RequestParameter(request, i, &key, &type, &value));
      std::string verb(key);
      if (own) {
        if (verb.rfind(arm.version + ".", 0) != 0) continue;
        verb = verb.substr(arm.version.size() + 1);
      }
      const char* text = type == TRITONSERVER_PARAMETER_STRING ? static_cast<const char*>(value) : "";
      std::int64_t number = 0;
      if (type == TRITONSERVER_PARAMETER_INT) number = *static_cast<const std::int64_t*>(value);
      if (type == TRITONSERVER_PARAMETER_BOOL) number = *static_cast<const bool*>(value) ? 1 : 0;
      Obey(&script, verb, text, number);
    }
  }
  return script;
}

void Log(const Script& script, const char* what) {
  if (script.log.empty()) return;
  std::FILE* const file = std::fopen(script.log.c_str(), "a");
  if (file == nullptr) return;
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  std::fprintf(file, "%s %lld\n", what, static_cast<long long>(now));
  std::fclose(file);
}

// False when the request was cancelled meanwhile and the arm gives in to it.
bool Wait(TRITONBACKEND_Request* request, const Script& script, std::int64_t ms, bool* seen) {
  const auto until = Clock::now() + milliseconds(ms);
  while (Clock::now() < until) {
    bool cancelled = false;
    if (!*seen && Well(TRITONBACKEND_RequestIsCancelled(request, &cancelled)) && cancelled) {
      *seen = true;
      Log(script, "cancelled");
    }
    if (*seen && !script.stubborn) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

void Fail(TRITONBACKEND_Request* request, const std::string& code) {
  TRITONBACKEND_Response* response = nullptr;
  if (!Well(TRITONBACKEND_ResponseNew(&response, request))) return;
  TRITONSERVER_Error* const error = TRITONSERVER_ErrorNew(CodeOf(code), "told to fail");
  Drop(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
  Drop(error);
}

std::vector<float> Values(TRITONBACKEND_Input* input, std::uint64_t bytes, std::uint32_t buffers) {
  std::vector<float> values(bytes / sizeof(float));
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < buffers; ++i) {
    const void* piece = nullptr;
    std::uint64_t size = 0;
    TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
    std::int64_t memory_id = 0;
    Drop(TRITONBACKEND_InputBuffer(input, i, &piece, &size, &memory, &memory_id));
    std::memcpy(reinterpret_cast<char*>(values.data()) + at, piece, size);
    at += size;
  }
  return values;
}

// The parameters of an answer that the request asks for, whatever they claim.
void Say(TRITONBACKEND_Request* request, TRITONBACKEND_Response* response) {
  constexpr char kSay[] = "say.";
  std::uint32_t count = 0;
  Drop(TRITONBACKEND_RequestParameterCount(request, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* key = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* value = nullptr;
    Drop(TRITONBACKEND_RequestParameter(request, i, &key, &type, &value));
    if (std::strncmp(key, kSay, sizeof(kSay) - 1) != 0) continue;
    const char* const name = key + sizeof(kSay) - 1;
    if (type == TRITONSERVER_PARAMETER_STRING) {
      Drop(TRITONBACKEND_ResponseSetStringParameter(
          response, name, static_cast<const char*>(value)));
    } else if (type == TRITONSERVER_PARAMETER_INT) {
      Drop(TRITONBACKEND_ResponseSetIntParameter(
          response, name, *static_cast<const std::int64_t*>(value)));
    } else if (type == TRITONSERVER_PARAMETER_BOOL) {
      Drop(TRITONBACKEND_ResponseSetBoolParameter(
          response, name, *static_cast<const bool*>(value)));
    } else if (type == TRITONSERVER_PARAMETER_DOUBLE) {
      Drop(TRITONBACKEND_ResponseSetDoubleParameter(
          response, name, *static_cast<const double*>(value)));
    }
  }
}

// y = x * factor + add + the answer's number, of each row the last element first if told so.
void Give(
    TRITONBACKEND_Request* request, const Arm& arm, const Script& script, std::int64_t number,
    std::uint32_t flags) {
  TRITONBACKEND_Input* input = nullptr;
  const char* name = nullptr;
  TRITONSERVER_DataType type = 0;
  const std::int64_t* shape = nullptr;
  std::uint32_t dims = 0;
  std::uint64_t bytes = 0;
  std::uint32_t buffers = 0;
  Drop(TRITONBACKEND_RequestInputByIndex(request, 0, &input));
  Drop(TRITONBACKEND_InputProperties(input, &name, &type, &shape, &dims, &bytes, &buffers));
  const std::vector<float> values = Values(input, bytes, buffers);

  TRITONBACKEND_Response* response = nullptr;
  TRITONBACKEND_Output* output = nullptr;
  Drop(TRITONBACKEND_ResponseNew(&response, request));
  Drop(TRITONBACKEND_ResponseOutput(response, &output, "y", type, shape, dims));
  void* target = nullptr;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  Drop(TRITONBACKEND_OutputBuffer(output, &target, bytes, &memory, &memory_id));
  const std::size_t width = static_cast<std::size_t>(shape[dims - 1]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t from = script.reverse ? i - i % width + (width - 1 - i % width) : i;
    static_cast<float*>(target)[i] =
        values[from] * arm.factor + static_cast<float>(script.add + number);
  }
  Say(request, response);
  Drop(TRITONBACKEND_ResponseSend(response, flags, nullptr));
}

void Perform(TRITONBACKEND_Request* request, const Arm& arm, const Script& script) {
  bool seen = false;
  Log(script, "began");
  bool going = Wait(request, script, script.delay_ms, &seen);
  if (going && !script.fail.empty()) {
    Fail(request, script.fail);
  } else {
    // The last answer is the end as well, unless something comes after it.
    const bool apart = script.responses == 0 || !script.end_with.empty();
    for (std::int64_t i = 0; going && i < script.responses; ++i) {
      if (i > 0) going = Wait(request, script, script.gap_ms, &seen);
      if (!going) break;
      const bool last = i + 1 == script.responses && !apart;
      Give(request, arm, script, i, last ? TRITONSERVER_RESPONSE_COMPLETE_FINAL : 0);
    }
    if (!going) {
      Fail(request, "CANCELLED");
    } else if (!script.end_with.empty()) {
      Fail(request, script.end_with);
    } else if (apart) {
      TRITONBACKEND_ResponseFactory* factory = nullptr;
      Drop(TRITONBACKEND_ResponseFactoryNew(&factory, request));
      Drop(TRITONBACKEND_ResponseFactorySendFlags(factory, TRITONSERVER_RESPONSE_COMPLETE_FINAL));
      Drop(TRITONBACKEND_ResponseFactoryDelete(factory));
    }
  }
  Log(script, "ended");
  Drop(TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default"))) TRITONSERVER_Error*

EXPORT TRITONBACKEND_Finalize(TRITONBACKEND_Backend*) {
  while (late_answers.load() > 0) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(5));  // for the last one's way out of this code
  return nullptr;
}

EXPORT TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  const char* given = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelName(model, &given)) return error;
  const std::string name(given);
  const std::size_t begin = name.find('.') + 1;
  Arm* const arm = new Arm;
  arm->version = name.substr(begin, name.find('.', begin) - begin);
  arm->factor = std::strtof(arm->version.c_str() + 1, nullptr);
  return TRITONBACKEND_ModelSetState(model, arm);
}

EXPORT TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  void* state = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelState(model, &state)) return error;
  delete static_cast<Arm*>(state);
  return nullptr;
}

EXPORT TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const std::uint32_t count) {
  TRITONBACKEND_Model* model = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelInstanceModel(instance, &model)) return error;
  void* state = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelState(model, &state)) return error;
  const Arm arm = *static_cast<const Arm*>(state);
  for (std::uint32_t i = 0; i < count; ++i) {
    TRITONBACKEND_Request* const request = requests[i];
    Script script = Read(request, arm);
    if (script.delay_ms == 0 && (script.responses < 2 || script.gap_ms == 0)) {
      Perform(request, arm, script);
      continue;
    }
    late_answers.fetch_add(1);
    std::thread([request, arm, script] {
      Perform(request, arm, script);
      late_answers.fetch_sub(1);
    }).detach();
  }
  return nullptr;
}
