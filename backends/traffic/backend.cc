// The entry points that Triton looks up: loading a router from its policy, and handing requests on.

#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "abi.h"
#include "attempt.h"
#include "check.h"
#include "config_words.h"
#include "forward.h"
#include "metrics.h"
#include "policy.h"
#include "recorder.h"
#include "records.h"
#include "request_log.h"
#include "router.h"
#include "shadow.h"
#include "succession.h"
#include "watch.h"

#define NEREID_EXPORT extern "C" __attribute__((visibility("default")))

namespace nereid {
namespace {

// Interface versions this was written against: a later minor only adds.
constexpr std::uint32_t kMajor = 1;
constexpr std::uint32_t kMinor = 19;

// The version that carries the policy: the highest, so that it gets every unversioned call.
constexpr std::uint64_t kPolicyVersion = 1'000'000'000;

// Of whose arm the request log has room: 16 MiB.
constexpr std::uint64_t kRequestsKept = 1'048'576;

// How long the server's end waits for attempts that nobody listens to any more.
constexpr auto kPatience = std::chrono::seconds(5);

// How soon after a router's load another may take its place: the server's thread for it is surely back
// at its queue by then. Which thread that is shows with the first request alone.
#ifdef NEREID_SETTLE_NS  // the harness has a server that does not need it, and reloads all the time
constexpr std::uint64_t kSettleNs = NEREID_SETTLE_NS;
#else
constexpr std::uint64_t kSettleNs = 30'000'000;
#endif

struct Backend {
  Backend() : watch(TimedOut, [this](std::uint64_t now_ns) { records.Refresh(now_ns); }) {
    services.records = &records;
    services.watch = &watch;
    services.shadows = &shadows;
  }

  // False: an arm still works on what nobody listens to any more.
  bool Drained() const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (services.open.load(std::memory_order_acquire) > 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  ~Backend() {
    if (services.allocator == nullptr) return;
    LogIfError(TRITONSERVER_ResponseAllocatorDelete(services.allocator), "free the allocator");
  }

  Services services;
  std::unique_ptr<RequestLog> log;
  Metrics metrics;
  Records records{metrics};
  Shadows shadows;
  Watch watch;
  std::unique_ptr<Recorder> recorder;  // the last: its thread uses the records
};

// What the server's command line says to this backend (`--backend-config=traffic,<word>=<value>`).
std::string_view ReadOptions(TRITONBACKEND_Backend* handle) {
  TRITONSERVER_Message* config = nullptr;
  const char* base = nullptr;
  std::size_t size = 0;
  Error error{TRITONBACKEND_BackendConfig(handle, &config)};  // it stays the server's
  if (!error) error.reset(TRITONSERVER_MessageSerializeToJson(config, &base, &size));
  if (!error) return std::string_view(base, size);
  LogIfError(error.release(), "read the backend's configuration");
  return {};
}

// The folders of recordings, where `recordings-asked` and `recordings` name them. Without them
// nothing can be recorded.
void OpenRecorder(std::string_view json, Backend* backend) {
  const std::string asked = ConfigText(json, "recordings-asked");
  const std::string recorded = ConfigText(json, "recordings");
  if (asked.empty() || recorded.empty()) return;
  backend->recorder = std::make_unique<Recorder>(
      asked, recorded, [backend](const std::string& endpoint, std::shared_ptr<Recording> now) {
        backend->records.Endpoint(endpoint)->recording.Set(std::move(now));
      });
}

// The file that says which arm answered which request, where `request-log` names one. Without it
// requests are routed all the same.
void OpenRequestLog(std::string_view json, Backend* backend) {
  const std::string path = ConfigText(json, "request-log");
  if (path.empty()) return;
  const std::string requests = ConfigText(json, "request-log-requests");
  const auto warn = [path](const std::string& reason) {
    Log(TRITONSERVER_LOG_WARN, path + " " + reason + ": nobody will know which arm answered a " +
                                   "request by its id");
  };
  std::string reason;
  backend->log = RequestLog::Open(
      path, requests.empty() ? kRequestsKept : std::strtoull(requests.c_str(), nullptr, 10), warn,
      &reason);
  if (!backend->log) return warn(reason);
  backend->services.log = backend->log.get();
  backend->records.KeepLog(backend->log.get());
}

Error CheckVersion() {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ApiVersion(&major, &minor));
  if (major == kMajor && minor >= kMinor) return nullptr;
  return MakeError(
      TRITONSERVER_ERROR_UNSUPPORTED,
      "the traffic backend needs Triton's backend interface 1.19 or later in 1.x; this server has " +
          std::to_string(major) + "." + std::to_string(minor));
}

Error ReadPolicy(TRITONBACKEND_Model* model, std::uint64_t version, Policy* policy) {
  TRITONBACKEND_ArtifactType kind = TRITONBACKEND_ARTIFACT_FILESYSTEM;
  const char* location = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelRepository(model, &kind, &location));
  const char* name = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelName(model, &name));

  const std::string path = std::string(location) + "/" + std::to_string(version) + "/policy.txt";
  std::ifstream file(path, std::ios::binary);
  if (!file) return MakeError(TRITONSERVER_ERROR_NOT_FOUND, path + " cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return MakeError(TRITONSERVER_ERROR_INTERNAL, path + " cannot be read to its end");

  PolicyError error;
  if (!ParsePolicy(text, policy, &error)) {
    return MakeError(
        TRITONSERVER_ERROR_INVALID_ARG,
        path + ": line " + std::to_string(error.line) + ": " + error.reason);
  }
  if (policy->endpoint != name) {
    return MakeError(
        TRITONSERVER_ERROR_INVALID_ARG, path + ": this is the policy of endpoint '" +
                                            policy->endpoint + "', not of '" + name + "'");
  }
  return nullptr;
}

Error ReadConfig(TRITONBACKEND_Model* model, Router* router) {
  TRITONSERVER_Message* config = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelConfig(model, 1, &config));
  const char* base = nullptr;
  std::size_t size = 0;
  Error error{TRITONSERVER_MessageSerializeToJson(config, &base, &size)};
  if (!error) {
    const std::string_view json(base, size);
    const std::string batch = ConfigScalar(json, "max_batch_size");
    router->batched = !batch.empty() && batch != "0";
    router->decoupled = ConfigScalar(json, "decoupled") == "true";
  }
  LogIfError(TRITONSERVER_MessageDelete(config), "free a model configuration");
  return error;
}

Error Load(TRITONBACKEND_Model* model) {
  TRITONBACKEND_Backend* handle = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelBackend(model, &handle));
  void* state = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_BackendState(handle, &state));
  Services& services = static_cast<Backend*>(state)->services;
  std::uint64_t version = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelVersion(model, &version));

  Policy policy;
  if (Error error = ReadPolicy(model, version, &policy)) return error;
  std::shared_ptr<EndpointRecord> endpoint = services.records->Endpoint(policy.endpoint);
  std::vector<std::shared_ptr<ArmRecord>> arms;
  for (const Arm& arm : policy.arms) {
    arms.push_back(services.records->Arm(policy.endpoint, arm.model));
  }
  std::random_device entropy;
  const std::uint64_t seed = (std::uint64_t{entropy()} << 32) | entropy();
  auto router = std::make_shared<Router>(
      std::move(policy), std::move(endpoint), std::move(arms), seed);
  router->services = &services;
  router->log_seed = RequestLog::EndpointSeed(router->policy.endpoint);
  router->version = version;
  router->pinned = version != kPolicyVersion;
  if (router->pinned) router->pin_prefix = std::to_string(version) + "/";
  Succession succession(services.records->Before(*router), kSettleNs);
  if (Error error = ReadConfig(model, router.get())) return error;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelServer(model, &router->server));

  auto held = std::make_unique<std::shared_ptr<Router>>(router);
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelSetState(model, held.get()));
  static_cast<void>(held.release());
  succession.Succeed();
  return nullptr;
}

// The last step of a load: from here on the policy is in force.
Error Adopt(TRITONBACKEND_ModelInstance* instance) {
  TRITONBACKEND_Model* model = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &model));
  void* state = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelState(model, &state));
  const auto& router = *static_cast<std::shared_ptr<Router>*>(state);
  const std::uint64_t now_ns = NowNs();
  if (router->loaded_ns.exchange(now_ns) == 0) router->services->records->Keep(router);
  if (!router->pinned) router->services->records->Adopt(router, now_ns);
  return nullptr;
}

// No exception of ours may reach Triton's C code.
template <typename Work>
TRITONSERVER_Error* Guarded(Work&& work) {
  try {
    return work().release();
  } catch (const std::exception& exception) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, exception.what());
  }
}

}  // namespace
}  // namespace nereid

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* handle) {
  return nereid::Guarded([&]() -> nereid::Error {
    if (nereid::Error error = nereid::CheckVersion()) return error;
    auto backend = std::make_unique<nereid::Backend>();
    if (nereid::Error error = nereid::NewAllocator(&backend->services.allocator)) return error;
    const std::string_view options = nereid::ReadOptions(handle);
    nereid::OpenRequestLog(options, backend.get());
    nereid::OpenRecorder(options, backend.get());
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_BackendSetState(handle, backend.get()));
    static_cast<void>(backend.release());
    return nullptr;
  });
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_Finalize(TRITONBACKEND_Backend* handle) {
  return nereid::Guarded([&]() -> nereid::Error {
    void* state = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_BackendState(handle, &state));
    auto* const backend = static_cast<nereid::Backend*>(state);
    if (backend == nullptr || backend->Drained()) {
      delete backend;
    } else {
      nereid::Log(
          TRITONSERVER_LOG_WARN, "an arm does not let go of its requests: left as it is at the end");
    }
    return nullptr;
  });
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_GetBackendAttribute(
    TRITONBACKEND_Backend*, TRITONBACKEND_BackendAttribute* attributes) {
  // Routing needs no device and one thread: a router without instance groups gets just that.
  return TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(
      attributes, TRITONSERVER_INSTANCEGROUPKIND_CPU, 1, nullptr, 0);
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return nereid::Guarded([&] { return nereid::Load(model); });
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(
    TRITONBACKEND_ModelInstance* instance) {
  return nereid::Guarded([&] { return nereid::Adopt(instance); });
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return nereid::Guarded([&]() -> nereid::Error {
    void* state = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ModelState(model, &state));
    delete static_cast<std::shared_ptr<nereid::Router>*>(state);
    return nullptr;
  });
}

NEREID_EXPORT TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests,
    const std::uint32_t count) {
  // An error may only be returned before the first request is taken over.
  TRITONBACKEND_Model* model = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelInstanceModel(instance, &model)) return error;
  void* state = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_ModelState(model, &state)) return error;
  const auto& router = *static_cast<std::shared_ptr<nereid::Router>*>(state);
  const nereid::Doing doing(&router->threads.Mine());
  for (std::uint32_t i = 0; i < count; ++i) {
    nereid::Forward(router, instance, requests[i], doing);
  }
  return nullptr;
}
