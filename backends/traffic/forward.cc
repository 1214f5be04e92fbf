#include "forward.h"

#include <algorithm>
#include <string>
#include <utility>

#include "attempt.h"
#include "record_request.h"
#include "reply.h"
#include "request_view.h"
#include "shadow.h"
#include "watch.h"

namespace nereid {
namespace {

// The arm a request goes to, counted in already; or why none takes it.
struct Target {
  std::shared_ptr<ArmRecord> arm;
  std::uint64_t timeout_us = 0;
  bool probe = false;
  Taken taken;
  Error refusal;
  Keyed keyed;
};

std::string Of(const Router& router) { return "endpoint '" + router.policy.endpoint + "': "; }

Target ByPolicy(const Call& call, const RequestView& view) {
  Router& router = *call.router;
  const Decision decision = router.decider.Decide(view, call.began_ns);
  router.arms[decision.chosen]->metrics->Turned(decision.diverted);
  const Arm& arm = router.policy.arms[decision.arm];
  Target target{router.arms[decision.arm], arm.timeout_us, decision.probe, {}, nullptr, {}};
  if (decision.key != 0) target.keyed = {router.KeysOf(decision.arm), decision.key};
  if (!decision.rejected) {
    target.taken = {router.decider.grant(decision.arm), true};
  } else {
    target.refusal = MakeError(
        TRITONSERVER_ERROR_UNAVAILABLE, Of(router) + "arm '" + arm.model + "' has its " +
                                            std::to_string(arm.max_in_flight) +
                                            " requests in flight; try again");
  }
  return target;
}

// Whether new requests may still come to the arm.
bool InUse(const Router& router, const std::shared_ptr<ArmRecord>& arm) {
  const Policy& policy = router.policy;
  const auto found = std::find(router.arms.begin(), router.arms.end(), arm);
  if (found == router.arms.end()) return false;
  const auto index = static_cast<std::size_t>(found - router.arms.begin());
  return index == policy.primary || arm->state.receiving.load(std::memory_order_relaxed) ||
         std::any_of(policy.rules.begin(), policy.rules.end(), [index](const Rule& rule) {
           return rule.arm == index;
         });
}

std::uint64_t TimeoutOf(const Router& router, const std::shared_ptr<ArmRecord>& arm) {
  const auto found = std::find(router.arms.begin(), router.arms.end(), arm);
  if (found == router.arms.end()) return 0;
  return router.policy.arms[static_cast<std::size_t>(found - router.arms.begin())].timeout_us;
}

// A live sequence stays on its arm to the end, also where the policy has moved on.
Target ForSequence(Call* running, const RequestView& view) {
  const Call& call = *running;
  Router& router = *call.router;
  SequencePins& pins = router.endpoint->pins;
  const Sequence& sequence = view.sequence();
  const std::string key = router.pin_prefix + sequence.key;
  SequencePins::Target pinned;
  if (sequence.starts) {
    pins.Unpin(key);
  } else {
    pinned = pins.Find(key, call.began_ns);
  }
  Target target;
  if (pinned) {
    target.arm = static_cast<const PinnedArm*>(pinned.get())->arm();
    if (router.policy.sequences.cut && !InUse(router, target.arm)) {
      pins.Unpin(key);
      target.refusal = MakeError(
          TRITONSERVER_ERROR_UNAVAILABLE, Of(router) + "the sequence was cut, its arm '" +
                                              target.arm->model +
                                              "' is out of use: start the sequence again");
      return target;
    }
    target.timeout_us = TimeoutOf(router, target.arm);
    target.arm->state.TryBegin(0);
    // Counted, and never refused: what it uses up, new requests will not get.
    if (!router.pinned) target.taken.grant = target.arm->state.allowance.Current();
    if (target.taken.grant) target.taken.reserved = target.taken.grant->TakeAnyway(call.began_ns);
  } else {
    target = ByPolicy(call, view);
    if (target.refusal) return target;
    pinned = std::make_shared<PinnedArm>(target.arm);
  }
  if (sequence.ends) {
    pins.Unpin(key);
  } else {
    pins.Pin(key, pinned, call.began_ns, router.policy.sequences.idle_ns);
  }
  running->pin = std::move(pinned);
  return target;
}

// Keeps the caller's request, and with it the model, until this thread is through with both: a quick
// arm answers on a thread of its own before that, and Triton 2.51 does not survive that a model goes
// while its thread executes (backends/README.md). Where the router is about to go, the thread has to
// be back at its queue.
class UntilForwarded {
 public:
  UntilForwarded(Call* call, const Doing& doing) : call_(call), doing_(doing) { call_->Hold(); }
  ~UntilForwarded() {
    if (call_->router->superseded.load()) {
      call_->router->services->watch->GiveUpLater(call_, doing_.thread, doing_.number);
    } else {
      call_->GiveUpHold();
    }
  }
  UntilForwarded(const UntilForwarded&) = delete;
  UntilForwarded& operator=(const UntilForwarded&) = delete;

 private:
  Call* const call_;
  const Doing& doing_;
};

void Refuse(Call* call, const Target& target) {
  target.arm->metrics->Count(Outcome::kRejected);
  SendError(call, *target.arm, TRITONSERVER_RESPONSE_COMPLETE_FINAL, target.refusal.get());
  call->Answered(false, NowNs());
}

}  // namespace

void Forward(
    std::shared_ptr<Router> router, TRITONBACKEND_ModelInstance* instance,
    TRITONBACKEND_Request* request, const Doing& doing) noexcept {
  Call* const call = new Call(std::move(router), instance, request);
  const UntilForwarded held(call, doing);
  LogIfError(
      TRITONBACKEND_InferenceRequestTimeoutMicroseconds(request, &call->timeout_us),
      "read a request's timeout");
  const RequestView view(request);
  call->sequence = view.sequence().live;
  Target target = call->sequence ? ForSequence(call, view) : ByPolicy(*call, view);
  if (target.refusal) {
    Refuse(call, target);
    return;
  }
  // Half a sequence would mean nothing to whoever plays it back.
  if (!call->sequence) RecordRequest(call->router->endpoint->recording, request);
  std::vector<std::unique_ptr<Shadow>> shadows = ShadowsOf(call, *target.arm);
  call->first.taken = std::move(target.taken);
  call->first.keyed = target.keyed;
  Begin(&call->first, std::move(target.arm), target.timeout_us, target.probe);
  Shadows* const worker = call->router->services->shadows;
  for (std::unique_ptr<Shadow>& shadow : shadows) worker->Push(std::move(shadow));
}

}  // namespace nereid
