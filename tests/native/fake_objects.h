// What stands behind the interface's handles; shared by the parts of the fake server.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fake_triton.h"

namespace fake {

constexpr std::uint32_t kAlive = 0xa11ec0de;
constexpr std::uint32_t kDead = 0xdeadc0de;
extern std::atomic<std::int64_t> live_objects[static_cast<int>(Kind::kCount)];

// Of this thread: whether it is a model's own, and how deep it is in handing requests to arms.
extern thread_local bool executes;
extern thread_local int submits;

struct Object {
  explicit Object(Kind of) : kind(of) { ++live_objects[static_cast<int>(kind)]; }
  ~Object() {
    mark = kDead;
    --live_objects[static_cast<int>(kind)];
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  volatile std::uint32_t mark = kAlive;
  const Kind kind;
};

// The object behind a handle; dies when there is none or when it is gone.
template <typename To, typename From>
To* Of(From* handle, Kind kind, const char* function) {
  if (handle == nullptr) Violation(std::string(function) + " was given no object");
  To* object = reinterpret_cast<To*>(handle);
  if (object->mark != kAlive) Violation(std::string(function) + " was given an object that is gone");
  if (object->kind != kind) Violation(std::string(function) + " was given an object of another kind");
  return object;
}

// What the server told the backend of itself, and the file that it named.
void ForgetBackendConfig();

// True when this call has to fail.
bool Fails(const char* function);
TRITONSERVER_Error* Failure(const char* function);
#define FAKE_MAY_FAIL() \
  if (::fake::Fails(__func__)) return ::fake::Failure(__func__)

struct ErrorObject : Object {
  ErrorObject(TRITONSERVER_Error_Code c, std::string m)
      : Object(Kind::kError), code(c), message(std::move(m)) {}
  TRITONSERVER_Error_Code code;
  std::string message;
};

// A value with its type, as requests and responses carry it.
struct Parameter : Object {
  Parameter(const char* n, TRITONSERVER_ParameterType t, const void* value);
  const void* Value() const;
  std::string name;
  TRITONSERVER_ParameterType type;
  std::string text;
  std::int64_t number = 0;
  double real = 0;
  bool truth = false;
};
using Parameters = std::vector<std::unique_ptr<Parameter>>;

struct Piece {
  const void* base;
  std::size_t size;
  bool on_device = false;
};

// The card's address of this memory, and back. What is no card's stays as it is.
void* OnDevice(const void* memory);
void* BehindDevice(const void* pointer);

struct Input : Object {
  Input() : Object(Kind::kInput) {}
  std::string name;
  TRITONSERVER_DataType type = 0;
  std::vector<std::int64_t> shape;
  std::vector<Piece> pieces;
  std::vector<std::unique_ptr<char[]>> owned;   // of an outer request: freed with it
};

// What the server keeps of a request for whoever looks at traces. A child shares its parent's memory
// from the moment in which it begins: before that the parent has to be there.
struct Trace : Object {
  explicit Trace(const Trace* of = nullptr) : Object(Kind::kTrace), parent(of ? of->there : nullptr) {}
  ~Trace() { there->store(false); }
  const std::shared_ptr<std::atomic<bool>> there = std::make_shared<std::atomic<bool>>(true);
  const std::shared_ptr<std::atomic<bool>> parent;
};

struct Channel {
  std::atomic<bool> cancelled{false};
};

// The same core object stands behind both kinds of handles, as in the real server.
struct Request : Object {
  explicit Request(Kind kind) : Object(kind) {}
  std::string id;
  bool correlation_is_text = false;
  std::uint64_t correlation = 0;
  std::string correlation_text;
  std::uint32_t flags = 0;
  std::uint64_t priority = 0;
  std::uint64_t timeout_us = 0;
  Parameters parameters;
  std::vector<std::unique_ptr<Input>> inputs;
  std::vector<std::string> outputs;
  std::unique_ptr<Trace> trace;

  // Of an outer request
  std::shared_ptr<Caller> caller;
  ModelPointer model;

  // Of an inner one
  enum class State { kPrepared, kRunning, kReleased };
  std::atomic<State> state{State::kPrepared};
  std::string arm;
  std::shared_ptr<Channel> channel;   // made by the submit: a cancel before it is an error
  TRITONSERVER_InferenceRequestReleaseFn_t release = nullptr;
  void* release_userp = nullptr;
  TRITONSERVER_ResponseAllocator* allocator = nullptr;
  void* allocator_userp = nullptr;
  TRITONSERVER_InferenceResponseCompleteFn_t complete = nullptr;
  void* complete_userp = nullptr;
};

struct Allocator : Object {
  Allocator() : Object(Kind::kAllocator) {}
  TRITONSERVER_ResponseAllocatorAllocFn_t allocate = nullptr;
  TRITONSERVER_ResponseAllocatorReleaseFn_t release = nullptr;
  TRITONSERVER_ResponseAllocatorStartFn_t start = nullptr;
};

struct InnerOutput {
  std::string name;
  int datatype = 2;
  std::vector<std::int64_t> shape;
  void* buffer = nullptr;
  void* buffer_userp = nullptr;
  std::size_t size = 0;
};

struct InnerResponse : Object {
  InnerResponse() : Object(Kind::kInnerResponse) {}
  int error = -1;
  std::string message;
  std::vector<InnerOutput> outputs;
  Parameters parameters;
  Allocator* allocator = nullptr;
};

struct Output : Object {
  Output() : Object(Kind::kOutput) {}
  std::string name;
  std::vector<char> data;
  bool allocated = false;
  bool on_device = false;
};

struct OuterResponse : Object {
  OuterResponse() : Object(Kind::kOuterResponse) {}
  std::shared_ptr<Caller> caller;
  std::vector<std::unique_ptr<Output>> outputs;
  std::string arm;
};

struct Factory : Object {
  Factory() : Object(Kind::kFactory) {}
  std::shared_ptr<Caller> caller;
};

struct Instance : Object {
  Instance() : Object(Kind::kInstance) {}
  Model* model = nullptr;
};

class Model : public Object {
 public:
  Model() : Object(Kind::kModel) {}
  void Start();
  void Stop();
  // Another of its name and version is loaded: this one goes when its last request has.
  void Supersede() { superseded_.store(true); }
  void Enqueue(Request* request);

  std::string name;
  std::uint64_t version = 0;
  std::string folder;
  bool decoupled = false;
  void* state = nullptr;
  Instance instance;

 private:
  void Run();
  void ComeBack();
  std::atomic<bool> superseded_{false};
  std::atomic<bool> away_{false};  // the thread is not at its queue
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Request*> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

// Gives the caller one response; `response` may be null (flags alone).
void Deliver(
    Caller& caller, const OuterResponse* response, std::uint32_t flags, TRITONSERVER_Error* error);
void Released(const std::shared_ptr<Caller>& caller);

// Runs a submitted request on its arm; null, or why the submit failed.
TRITONSERVER_Error* SubmitToArm(Request* request);
bool ArmExists(const std::string& name);

}  // namespace fake
