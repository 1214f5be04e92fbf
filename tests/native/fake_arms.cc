// The arms: each does what its script says, on threads of the fake server.
#include <chrono>
#include <cstring>
#include <queue>

#include "fake_objects.h"

namespace fake {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLook = std::chrono::milliseconds(1);
constexpr int kThreads = 3;

struct Arm {
  Script script;
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::int64_t> in_flight{0};
  std::atomic<std::int64_t> peak{0};
};

struct Job {
  Clock::time_point look;
  Clock::time_point due;
  Request* request;
  std::shared_ptr<Channel> channel;
  std::shared_ptr<Arm> arm;
  Behaviour behaviour;
  bool operator<(const Job& other) const { return look > other.look; }
};

std::mutex arms_mutex;
std::map<std::string, std::shared_ptr<Arm>> arms;
std::atomic<std::uint64_t> absent{0};
std::atomic<std::uint64_t> longest_hang_us{3'600'000'000};

std::shared_ptr<Arm> Find(const std::string& name) {
  const std::lock_guard<std::mutex> lock(arms_mutex);
  const auto found = arms.find(name);
  return found == arms.end() ? nullptr : found->second;
}

// All that an arm needs of the request once the request may be gone.
struct Answering {
  TRITONSERVER_InferenceResponseCompleteFn_t complete;
  void* complete_userp;
  Allocator* allocator;
  void* allocator_userp;
  std::vector<char> input;
};

std::vector<char> ReadInput(const Request& request) {
  std::vector<char> data;
  // Every input is read, as a model does: what was freed too early shows here.
  for (const auto& input : request.inputs) {
    std::vector<char> all;
    for (const Piece& piece : input->pieces) {
      const char* base =
          static_cast<const char*>(piece.on_device ? BehindDevice(piece.base) : piece.base);
      all.insert(all.end(), base, base + piece.size);
    }
    if (input == request.inputs.front()) data = std::move(all);
  }
  return data;
}

InnerResponse* NewResponse(const Answering& answering, const Behaviour& behaviour) {
  auto response = std::make_unique<InnerResponse>();
  response->allocator = answering.allocator;
  const std::size_t size =
      behaviour.output_bytes == 0 ? answering.input.size() : behaviour.output_bytes;
  InnerOutput output;
  output.name = "y";
  output.datatype = behaviour.datatype;
  const std::size_t element = behaviour.datatype == 2 ? 1 : sizeof(float);
  output.shape = {1, static_cast<std::int64_t>(size / element)};
  output.size = size;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  TRITONSERVER_Error* error = Fails("allocate an arm's output")
                                  ? Failure("allocate an arm's output")
                                  : answering.allocator->allocate(
                                        reinterpret_cast<TRITONSERVER_ResponseAllocator*>(
                                            answering.allocator),
                                        "y", size, TRITONSERVER_MEMORY_CPU, 0,
                                        answering.allocator_userp, &output.buffer,
                                        &output.buffer_userp, &memory, &memory_id);
  if (error != nullptr) {
    response->error = TRITONSERVER_ErrorCode(error);
    response->message = TRITONSERVER_ErrorMessage(error);
    TRITONSERVER_ErrorDelete(error);
    return response.release();
  }
  if (output.buffer != nullptr) {
    ++live_objects[static_cast<int>(Kind::kBuffer)];
    if (behaviour.output_bytes == 0) {
      std::memcpy(output.buffer, answering.input.data(), size);
    } else {
      std::memset(output.buffer, 'y', size);
    }
  }
  response->outputs.push_back(std::move(output));
  const std::int64_t number = 7;
  response->parameters.push_back(
      std::make_unique<Parameter>("spoken", TRITONSERVER_PARAMETER_STRING, "yes"));
  response->parameters.push_back(
      std::make_unique<Parameter>("number", TRITONSERVER_PARAMETER_INT, &number));
  // What only the router may say.
  response->parameters.push_back(
      std::make_unique<Parameter>("nereid_arm", TRITONSERVER_PARAMETER_STRING, "another"));
  return response.release();
}

InnerResponse* NewError(const Answering& answering, int code, const char* message) {
  InnerResponse* response = new InnerResponse;
  response->allocator = answering.allocator;
  response->error = code;
  response->message = message;
  return response;
}

void Complete(const Answering& answering, InnerResponse* response, std::uint32_t flags) {
  answering.complete(
      reinterpret_cast<TRITONSERVER_InferenceResponse*>(response), flags,
      answering.complete_userp);
}

void Release(Request** request) {
  if (*request == nullptr) return;
  Request* given_back = *request;
  *request = nullptr;
  given_back->state.store(Request::State::kReleased);
  given_back->release(
      reinterpret_cast<TRITONSERVER_InferenceRequest*>(given_back),
      TRITONSERVER_REQUEST_RELEASE_ALL, given_back->release_userp);
}

void Answer(Request* request, Arm& arm, Behaviour behaviour, bool cancelled) {
  const Answering answering{
      request->complete, request->complete_userp,
      reinterpret_cast<Allocator*>(request->allocator), request->allocator_userp,
      ReadInput(*request)};
  if (cancelled) {
    arm.cancelled.fetch_add(1);
    behaviour.error = TRITONSERVER_ERROR_CANCELLED;
    behaviour.responses = 0;
    behaviour.final_apart = false;
  }
  if (behaviour.release == Behaviour::Release::kBefore) Release(&request);
  // The attempt counts as over from here: the router may start another as soon as it is told.
  arm.in_flight.fetch_sub(1);
  const int total = behaviour.responses + (behaviour.error >= 0 ? 1 : 0);
  const bool apart = behaviour.final_apart || total == 0;
  for (int i = 0; i < total; ++i) {
    const bool last = i + 1 == total;
    InnerResponse* response =
        last && behaviour.error >= 0
            ? NewError(answering, behaviour.error, cancelled ? "cancelled" : "told to fail")
            : NewResponse(answering, behaviour);
    Complete(answering, response, last && !apart ? TRITONSERVER_RESPONSE_COMPLETE_FINAL : 0);
    if (i == 0 && behaviour.release == Behaviour::Release::kBetween) Release(&request);
  }
  if (apart) Complete(answering, nullptr, TRITONSERVER_RESPONSE_COMPLETE_FINAL);
  Release(&request);
}

class Engine {
 public:
  Engine() {
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~Engine() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    filled_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void Add(Job job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push(std::move(job));
    }
    filled_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      if (jobs_.empty()) {
        if (stopping_) return;
        filled_.wait(lock);
        continue;
      }
      const Clock::time_point now = Clock::now();
      if (jobs_.top().look > now) {
        const Clock::time_point look = jobs_.top().look;   // the queue moves while this waits
        filled_.wait_until(lock, look);
        continue;
      }
      Job job = jobs_.top();
      jobs_.pop();
      const bool cancelled = job.behaviour.obeys_cancel && job.channel->cancelled.load();
      if (!cancelled && job.due > now) {
        job.look = job.behaviour.obeys_cancel ? std::min(job.due, now + kLook) : job.due;
        jobs_.push(std::move(job));
        continue;
      }
      lock.unlock();
      Answer(job.request, *job.arm, job.behaviour, cancelled);
      job = Job{};
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::priority_queue<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

Engine& TheEngine() {
  static Engine engine;
  return engine;
}

}  // namespace

void SetArm(const std::string& name, Script script) {
  auto arm = std::make_shared<Arm>();
  arm->script = std::move(script);
  const std::lock_guard<std::mutex> lock(arms_mutex);
  arms[name] = std::move(arm);
}

void HangAtMost(std::uint64_t us) { longest_hang_us.store(us); }

void RemoveArm(const std::string& name) {
  const std::lock_guard<std::mutex> lock(arms_mutex);
  arms.erase(name);
}

void ForgetArms() {
  const std::lock_guard<std::mutex> lock(arms_mutex);
  arms.clear();
  absent.store(0);
}

bool ArmExists(const std::string& name) {
  if (Find(name) != nullptr) return true;
  absent.fetch_add(1);
  return false;
}

std::uint64_t AsksForAbsentArms() { return absent.load(); }

ArmCounts CountsOf(const std::string& name) {
  const std::shared_ptr<Arm> arm = Find(name);
  if (arm == nullptr) return {};
  return {arm->submitted.load(), arm->refused.load(), arm->cancelled.load(),
          arm->in_flight.load(), arm->peak.load()};
}

TRITONSERVER_Error* SubmitToArm(Request* request) {
  const std::shared_ptr<Arm> arm = Find(request->arm);
  if (arm == nullptr) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "the arm was unloaded meanwhile");
  }
  const Behaviour behaviour =
      arm->script(arm->submitted.load() + arm->refused.load());
  if (behaviour.submit_fails) {
    arm->refused.fetch_add(1);
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "the arm takes nothing");
  }
  arm->submitted.fetch_add(1);
  const std::int64_t in_flight = arm->in_flight.fetch_add(1) + 1;
  std::int64_t peak = arm->peak.load();
  while (in_flight > peak && !arm->peak.compare_exchange_weak(peak, in_flight)) {
  }
  request->state.store(Request::State::kRunning);
  if (behaviour.at_once) {
    Answer(request, *arm, behaviour, false);
    return nullptr;
  }
  const Clock::time_point now = Clock::now();
  const Clock::time_point due =
      behaviour.until_cancelled ? now + std::chrono::microseconds(longest_hang_us.load())
                                : now + std::chrono::microseconds(behaviour.delay_us);
  const Clock::time_point look = behaviour.obeys_cancel ? std::min(due, now + kLook) : due;
  TheEngine().Add(Job{look, due, request, request->channel, arm, behaviour});
  return nullptr;
}

}  // namespace fake
