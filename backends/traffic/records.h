// What the backend remembers of endpoints and their arms, from load to load of their routers.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "arm_state.h"
#include "metrics.h"
#include "recorder.h"
#include "rescue_budget.h"
#include "sequence_pins.h"

namespace nereid {

class RequestLog;
struct Router;

struct ArmRecord {
  ArmRecord(std::string name, std::unique_ptr<ArmMetrics> series, std::uint16_t in_log)
      : model(std::move(name)), logged_as(in_log), metrics(std::move(series)) {}

  const std::string model;
  const std::uint16_t logged_as;  // its place in the request log; 0: none
  const std::unique_ptr<ArmMetrics> metrics;
  ArmState state;
  alignas(64) std::atomic<std::uint32_t> shadows{0};  // in flight
};

struct EndpointRecord {
  RescueBudget budget;
  SequencePins pins;  // to PinnedArm
  RecordingPlace recording;
  bool routed = false;  // it had a policy before; under the lock of Records
  std::weak_ptr<Router> router;  // of the policy in force; under the lock of Records
  std::vector<std::weak_ptr<Router>> loaded;  // those that live, if only for their last requests
};

// What a sequence is pinned to; it counts in the arm's series for as long as it lives.
class PinnedArm {
 public:
  explicit PinnedArm(std::shared_ptr<ArmRecord> arm) : arm_(std::move(arm)) {
    arm_->metrics->PinnedSequences(1);
  }
  ~PinnedArm() { arm_->metrics->PinnedSequences(-1); }
  PinnedArm(const PinnedArm&) = delete;
  PinnedArm& operator=(const PinnedArm&) = delete;

  const std::shared_ptr<ArmRecord>& arm() const { return arm_; }

 private:
  const std::shared_ptr<ArmRecord> arm_;
};

// Safe from any thread; used at loads and a few times a second, not for each request.
class Records {
 public:
  explicit Records(const Metrics& metrics) : metrics_(metrics) {}

  // Arms get a place in it from now on; before the first.
  void KeepLog(RequestLog* log) { log_ = log; }

  std::shared_ptr<EndpointRecord> Endpoint(const std::string& endpoint);

  // The one record of (endpoint, arm). The last arms that no router names any more are kept too, so
  // a way back continues their counts; older ones are dropped, or a server that saw many versions
  // would expose them all for ever.
  std::shared_ptr<ArmRecord> Arm(const std::string& endpoint, const std::string& arm);

  // The router's policy is in force now: its arms begin their ramps and allowances, the endpoint's
  // others are out.
  void Adopt(const std::shared_ptr<Router>& router, std::uint64_t now_ns);

  // The router is loaded, and what takes its place will find it.
  void Keep(const std::shared_ptr<Router>& router);

  // The routers of the endpoint that go once this one has come: those of its version, and those of
  // older policies.
  std::vector<std::shared_ptr<Router>> Before(const Router& router);

  // Shows the gauges that nobody sets when they change, and lets idle sequences and arms go.
  void Refresh(std::uint64_t now_ns);

 private:
  using Key = std::pair<std::string, std::string>;

  void DropIdle();
  void ContinueGrant(const Router& router, std::size_t index);

  const Metrics& metrics_;
  RequestLog* log_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<EndpointRecord>> endpoints_;
  std::map<Key, std::shared_ptr<ArmRecord>> arms_;
  std::list<Key> oldest_first_;
};

}  // namespace nereid
