// One loaded router version: its policy and what it needs to send requests on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "abi.h"
#include "decide.h"
#include "key_set.h"
#include "policy.h"
#include "records.h"
#include "server_thread.h"

namespace nereid {

class RequestLog;
class Shadows;
class Watch;

// What all routers of the backend share.
struct Services {
  TRITONSERVER_ResponseAllocator* allocator = nullptr;
  Records* records = nullptr;
  Watch* watch = nullptr;
  Shadows* shadows = nullptr;
  RequestLog* log = nullptr;  // null: none is kept
  std::atomic<std::int64_t> open{0};  // calls and shadows that some thread may still come back to
};

// The first member of what the backend's end has to wait for: the last to go, after all the rest.
class Open {
 public:
  explicit Open(Services* services) : services_(services) {
    services_->open.fetch_add(1, std::memory_order_relaxed);
  }
  ~Open() { services_->open.fetch_sub(1, std::memory_order_release); }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;

 private:
  Services* const services_;
};

// Held by the loaded model and by every call on its way: an abandoned attempt may end after the
// model was unloaded.
struct Router {
  Router(
      Policy read, std::shared_ptr<EndpointRecord> of_endpoint,
      std::vector<std::shared_ptr<ArmRecord>> of_arms, std::uint64_t seed)
      : policy(std::move(read)),
        endpoint(std::move(of_endpoint)),
        arms(std::move(of_arms)),
        decider(policy, States(arms), seed),
        shadow_turns(policy.shadows.size()) {
    if (policy.sticky.key == Sticky::Key::kNone) return;
    for (std::size_t arm = 0; arm < arms.size(); ++arm) keys.push_back(std::make_unique<KeySet>());
  }

  // Where the arm's sticky keys are noted; null where the policy has none.
  KeySet* KeysOf(std::size_t arm) const { return keys.empty() ? nullptr : keys[arm].get(); }

  const std::shared_ptr<ArmRecord>& Primary() const { return arms[policy.primary]; }

  const Policy policy;
  const std::shared_ptr<EndpointRecord> endpoint;
  const std::vector<std::shared_ptr<ArmRecord>> arms;  // in the policy's order
  Decider decider;
  std::vector<std::atomic<std::uint64_t>> shadow_turns;  // one for each shadow of the policy
  std::vector<std::unique_ptr<KeySet>> keys;  // one for each arm under a sticky policy
  Services* services = nullptr;
  TRITONSERVER_Server* server = nullptr;
  std::uint64_t log_seed = 0;  // of the endpoint, in the request log
  std::uint64_t version = 0;
  bool pinned = false;  // to one version: no part of the policy in force
  // A sequence of a pinned version is another than one of the same id without a version.
  std::string pin_prefix;
  bool batched = false;
  bool decoupled = false;
  ServerThreads threads;
  std::atomic<std::uint64_t> loaded_ns{0};  // 0: not yet
  std::atomic<bool> superseded{false};  // what takes its place has begun to load

 private:
  static std::vector<ArmState*> States(const std::vector<std::shared_ptr<ArmRecord>>& arms) {
    std::vector<ArmState*> states;
    for (const auto& arm : arms) states.push_back(&arm->state);
    return states;
  }
};

}  // namespace nereid
