// Loading a router into the fake server, calling it, and finalizing it when nothing holds it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <utility>

#include "fake_objects.h"

extern "C" {
// What the backend exports. Those it may leave out are weak.
TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend*);
TRITONSERVER_Error* TRITONBACKEND_Finalize(TRITONBACKEND_Backend*);
TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model*);
TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model*);
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance*, TRITONBACKEND_Request**, const std::uint32_t);
__attribute__((weak)) TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(
    TRITONBACKEND_ModelInstance*);
__attribute__((weak)) TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(
    TRITONBACKEND_ModelInstance*);
}

namespace fake {

void* backend_state = nullptr;
thread_local bool executes = false;
thread_local int submits = 0;

namespace {

TRITONBACKEND_Backend* BackendHandle() {
  static int backend = 0;
  return reinterpret_cast<TRITONBACKEND_Backend*>(&backend);
}
TRITONBACKEND_Model* Handle(Model* model) { return reinterpret_cast<TRITONBACKEND_Model*>(model); }
TRITONBACKEND_ModelInstance* Handle(Instance* instance) {
  return reinterpret_cast<TRITONBACKEND_ModelInstance*>(instance);
}

void Expect(TRITONSERVER_Error* error, const char* what) {
  if (error == nullptr) return;
  const std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  // One that was asked for is no fault.
  if (message.find("was made to fail") == std::string::npos) {
    Violation(std::string(what) + " failed: " + message);
  }
}

void Gone(Model* model);

// Finalizes models on a thread of its own: the last request may be given back on any.
class Reaper {
 public:
  Reaper() : thread_([this] { Run(); }) {}
  ~Reaper() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Add(Model* model) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      dying_.push_back(model);
    }
    changed_.notify_all();
  }
  void WaitUntilIdle() {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool idle = changed_.wait_for(
        lock, std::chrono::seconds(30), [this] { return dying_.empty() && !busy_; });
    if (!idle) Violation("a router was not finalized within 30 s");
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || !dying_.empty(); });
      if (dying_.empty()) return;
      Model* model = dying_.front();
      dying_.pop_front();
      busy_ = true;
      lock.unlock();
      Gone(model);
      model->Stop();
      const SpareGetters spared;
      if (TRITONBACKEND_ModelInstanceFinalize != nullptr) {
        Expect(TRITONBACKEND_ModelInstanceFinalize(Handle(&model->instance)), "instance finalize");
      }
      Expect(TRITONBACKEND_ModelFinalize(Handle(model)), "model finalize");
      delete model;
      lock.lock();
      busy_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Model*> dying_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

Reaper& TheReaper() {
  static Reaper reaper;
  return reaper;
}

// The loaded ones by name and version, the newest of each.
std::mutex newest_mutex;
std::map<std::pair<std::string, std::uint64_t>, Model*> newest;

void Newest(Model* model) {
  const std::lock_guard<std::mutex> lock(newest_mutex);
  Model*& known = newest[{model->name, model->version}];
  if (known != nullptr) known->Supersede();
  known = model;
}

void Gone(Model* model) {
  const std::lock_guard<std::mutex> lock(newest_mutex);
  const auto found = newest.find({model->name, model->version});
  if (found != newest.end() && found->second == model) newest.erase(found);
}

std::string Take(TRITONSERVER_Error* error) {
  const std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  return message;
}

struct Folder {
  Folder() {
    char pattern[] = "/tmp/nereid-native-XXXXXX";
    if (mkdtemp(pattern) == nullptr) Violation("no folder for policies");
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

}  // namespace

void Model::Start() {
  instance.model = this;
  thread_ = std::thread([this] { Run(); });
}

void Model::Stop() {
  // Triton 2.51 finds the thread by a list that it is on only while it waits.
  if (superseded_.load() && away_.load()) {
    Violation("a router goes while the server's thread for it is not back at its queue");
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Model::Enqueue(Request* request) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(request);
  }
  filled_.notify_one();
}

// Now and then the scheduler holds the thread back after what it did, and it is no less busy for that.
void Model::ComeBack() {
  static std::atomic<int> times{0};
  if (times.fetch_add(1, std::memory_order_relaxed) % 8 == 0) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(500);
    while (std::chrono::steady_clock::now() < until) {
    }
  }
  away_.store(false);
}

void Model::Run() {
  constexpr std::size_t kMost = 4;
  executes = true;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    filled_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::vector<TRITONBACKEND_Request*> batch;
    while (!queue_.empty() && batch.size() < kMost) {
      batch.push_back(reinterpret_cast<TRITONBACKEND_Request*>(queue_.front()));
      queue_.pop_front();
    }
    away_.store(true);
    lock.unlock();
    TRITONSERVER_Error* error = TRITONBACKEND_ModelInstanceExecute(
        Handle(&instance), batch.data(), static_cast<std::uint32_t>(batch.size()));
    if (error != nullptr) {
      // Nothing was taken over: the server answers and gives the requests back.
      for (TRITONBACKEND_Request* handle : batch) {
        std::unique_ptr<Request> request(Of<Request>(handle, Kind::kOuterRequest, "execute"));
        const std::shared_ptr<Caller> caller = request->caller;
        Deliver(*caller, nullptr, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error);
        request.reset();
        Released(caller);
      }
      TRITONSERVER_ErrorDelete(error);
    }
    ComeBack();
    lock.lock();
  }
}

bool StartBackend(std::string* error) {
  backend_state = nullptr;
  TRITONSERVER_Error* failed = TRITONBACKEND_Initialize(BackendHandle());
  if (failed == nullptr) return true;
  ForgetBackendConfig();
  *error = Take(failed);
  return false;
}

void StopBackend() {
  WaitForFinalized();
  const SpareGetters spared;
  Expect(TRITONBACKEND_Finalize(BackendHandle()), "backend finalize");
  ForgetBackendConfig();
}

void WaitForFinalized() { TheReaper().WaitUntilIdle(); }

ModelPointer Load(
    const std::string& name, std::uint64_t version, const std::string& policy, bool decoupled,
    std::string* error) {
  static const Folder folder;
  static std::atomic<int> loads{0};
  TheReaper();
  auto model = std::make_unique<Model>();
  model->name = name;
  model->version = version;
  model->decoupled = decoupled;
  model->folder = folder.path + "/" + std::to_string(loads.fetch_add(1));
  const std::string version_folder = model->folder + "/" + std::to_string(version);
  std::filesystem::create_directories(version_folder);
  std::ofstream(version_folder + "/policy.txt", std::ios::binary) << policy;
  TRITONSERVER_Error* failed = TRITONBACKEND_ModelInitialize(Handle(model.get()));
  std::filesystem::remove_all(model->folder);
  if (failed != nullptr) {
    *error = Take(failed);
    return nullptr;
  }
  model->instance.model = model.get();
  if (TRITONBACKEND_ModelInstanceInitialize != nullptr) {
    failed = TRITONBACKEND_ModelInstanceInitialize(Handle(&model->instance));
    if (failed != nullptr) {
      *error = Take(failed);
      Expect(TRITONBACKEND_ModelFinalize(Handle(model.get())), "model finalize");
      return nullptr;
    }
  }
  model->Start();
  Newest(model.get());
  return ModelPointer(model.release(), [](Model* last) { TheReaper().Add(last); });
}

std::shared_ptr<Caller> Infer(
    const ModelPointer& model, const RequestShape& shape, std::function<void(Caller&)> on_end) {
  auto caller = std::make_shared<Caller>();
  caller->decoupled = model->decoupled;
  caller->on_device = shape.on_device;
  caller->on_end = std::move(on_end);
  auto request = std::make_unique<Request>(Kind::kOuterRequest);
  request->caller = caller;
  request->model = model;
  request->id = shape.id;
  request->correlation = shape.correlation;
  request->correlation_text = shape.correlation_text;
  request->correlation_is_text = !shape.correlation_text.empty();
  request->flags = shape.flags;
  request->priority = shape.priority;
  request->timeout_us = shape.timeout_us;
  if (shape.traced) request->trace = std::make_unique<Trace>();
  for (const auto& [key, value] : shape.parameters) {
    request->parameters.push_back(
        std::make_unique<Parameter>(key.c_str(), TRITONSERVER_PARAMETER_STRING, value.c_str()));
  }
  auto input = std::make_unique<Input>();
  input->name = "x";
  input->type = 2;   // UINT8
  input->shape = {1, static_cast<std::int64_t>(shape.input_bytes)};
  const std::size_t piece = shape.input_bytes / static_cast<std::size_t>(shape.pieces);
  for (int i = 0; i < shape.pieces; ++i) {
    const std::size_t size =
        i + 1 == shape.pieces ? shape.input_bytes - piece * static_cast<std::size_t>(i) : piece;
    input->owned.emplace_back(new char[size]);
    std::fill_n(input->owned.back().get(), size, shape.fill);
    const char* base = input->owned.back().get();
    input->pieces.push_back({shape.on_device ? OnDevice(base) : base, size, shape.on_device});
  }
  request->inputs.push_back(std::move(input));
  request->outputs.push_back("y");
  model->Enqueue(request.release());
  return caller;
}

}  // namespace fake
