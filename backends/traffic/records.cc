#include "records.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "request_log.h"
#include "router.h"

namespace nereid {
namespace {

constexpr std::size_t kIdleArmsKept = 16;

std::int64_t UnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void ShowGauges(const Router& router, std::uint64_t now_ns) {
  std::vector<double> scores(router.arms.size());
  router.decider.Scores(scores.data(), now_ns);
  for (std::size_t i = 0; i < router.arms.size(); ++i) {
    const ArmRecord& arm = *router.arms[i];
    const std::shared_ptr<Grant> grant = arm.state.allowance.Current();
    const bool over = grant && grant->Over(now_ns);
    // Each by itself: whoever looks is to see which of them is used up.
    arm.metrics->ShowAllowance(
        over ? 0 : grant ? grant->attempts_left() : -1,
        over ? 0 : grant ? grant->failures_left() : -1);
    arm.metrics->ShowBreaker(arm.state.breaker.state());
    arm.metrics->ShowScore(scores[i]);
  }
}

}  // namespace

std::shared_ptr<EndpointRecord> Records::Endpoint(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<EndpointRecord>& found = endpoints_[endpoint];
  if (!found) found = std::make_shared<EndpointRecord>();
  return found;
}

std::shared_ptr<ArmRecord> Records::Arm(const std::string& endpoint, const std::string& arm) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Key key{endpoint, arm};
  oldest_first_.remove(key);
  oldest_first_.push_back(key);
  std::shared_ptr<ArmRecord>& found = arms_[key];
  if (!found) {
    const std::uint16_t in_log = log_ != nullptr ? log_->Arm(arm) : 0;
    found = std::make_shared<ArmRecord>(arm, metrics_.New(endpoint, arm), in_log);
  }
  const std::shared_ptr<ArmRecord> result = found;
  DropIdle();
  return result;
}

void Records::Adopt(const std::shared_ptr<Router>& router, std::uint64_t now_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EndpointRecord& endpoint = *router->endpoint;
  const std::int64_t now_unix_ms = UnixMs();
  for (const auto& [key, arm] : arms_) {
    const bool kept = std::find(router->arms.begin(), router->arms.end(), arm) != router->arms.end();
    if (key.first == router->policy.endpoint && !kept) arm->state.Leave();
  }
  std::vector<std::shared_ptr<Grant>> grants;
  for (std::size_t i = 0; i < router->arms.size(); ++i) {
    ContinueGrant(*router, i);
    grants.push_back(
        router->arms[i]->state.Adopt(router->policy, i, now_unix_ms, now_ns, !endpoint.routed));
  }
  router->decider.Adopt(std::move(grants));
  endpoint.routed = true;
  endpoint.router = router;
  ShowGauges(*router, now_ns);
}

// A version served anew under another physical name goes on with its grant.
void Records::ContinueGrant(const Router& router, std::size_t index) {
  const std::optional<Allowance>& allowance = router.policy.arms[index].allowance;
  if (!allowance) return;
  ArmAllowance& its = router.arms[index]->state.allowance;
  if (its.Knows(allowance->grant)) return;
  for (const auto& [key, arm] : arms_) {
    if (key.first != router.policy.endpoint || arm == router.arms[index]) continue;
    if (its.ContinueFrom(arm->state.allowance, allowance->grant)) return;
  }
}

void Records::Keep(const std::shared_ptr<Router>& router) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& loaded = router->endpoint->loaded;
  const auto is_gone = [](const std::weak_ptr<Router>& one) { return one.expired(); };
  loaded.erase(std::remove_if(loaded.begin(), loaded.end(), is_gone), loaded.end());
  loaded.push_back(router);
}

std::vector<std::shared_ptr<Router>> Records::Before(const Router& router) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<Router>> found;
  for (const std::weak_ptr<Router>& one : router.endpoint->loaded) {
    auto other = one.lock();
    if (!other) continue;
    const bool goes = other->version == router.version ||
                      other->policy.generation < router.policy.generation;
    if (goes) found.push_back(std::move(other));
  }
  return found;
}

void Records::Refresh(std::uint64_t now_ns) {
  // A router or a pinned arm may go with the last hold on it: not under our lock.
  std::vector<std::shared_ptr<Router>> routers;
  std::vector<std::shared_ptr<EndpointRecord>> endpoints;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    DropIdle();  // a router may have gone long after the load that replaced it
    for (const auto& [name, endpoint] : endpoints_) {
      endpoints.push_back(endpoint);
      if (auto router = endpoint->router.lock()) routers.push_back(std::move(router));
    }
  }
  for (const auto& endpoint : endpoints) endpoint->pins.Expire(now_ns);
  for (const auto& router : routers) ShowGauges(*router, now_ns);
}

void Records::DropIdle() {
  const auto is_idle = [this](const Key& key) { return arms_.at(key).use_count() == 1; };
  std::size_t idle = static_cast<std::size_t>(
      std::count_if(oldest_first_.begin(), oldest_first_.end(), is_idle));
  for (auto it = oldest_first_.begin(); it != oldest_first_.end() && idle > kIdleArmsKept;) {
    if (is_idle(*it)) {
      arms_.erase(*it);
      it = oldest_first_.erase(it);
      --idle;
    } else {
      ++it;
    }
  }
}

}  // namespace nereid
