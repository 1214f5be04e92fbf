#include "attempt.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "child_trace.h"
#include "copy_request.h"
#include "observe.h"
#include "reply.h"
#include "request_log.h"
#include "shadow.h"
#include "watch.h"

namespace nereid {
namespace {

using Judgement = ArmState::Judgement;

Outcome OutcomeOf(const Attempt& attempt, TRITONSERVER_Error* error) {
  const TRITONSERVER_Error_Code code = TRITONSERVER_ErrorCode(error);
  if (code == TRITONSERVER_ERROR_CANCELLED) {
    return attempt.timed_out.load() ? Outcome::kTimeout : Outcome::kCancelled;
  }
  // The batcher has no code of its own for a request that waited too long in its queue.
  if (code == TRITONSERVER_ERROR_UNAVAILABLE &&
      std::strcmp(TRITONSERVER_ErrorMessage(error), "Request timeout expired") == 0) {
    return Outcome::kTimeout;
  }
  return Outcome::kError;
}

bool DeadlinePassed(const Call& call, std::uint64_t now_ns) {
  return call.timeout_us != 0 && (now_ns - call.began_ns) / 1000 >= call.timeout_us;
}

// What an error says about the arm: nothing, if the caller made a mistake, went away, or gave it too
// little time to get through its queue.
Judgement JudgementOf(const Attempt& attempt, TRITONSERVER_Error* error, std::uint64_t now_ns) {
  const Call& call = *attempt.call;
  if (TRITONSERVER_ErrorCode(error) == TRITONSERVER_ERROR_INVALID_ARG) return Judgement::kNothing;
  if (call.cancelled.load(std::memory_order_relaxed)) return Judgement::kNothing;
  const bool expired = OutcomeOf(attempt, error) == Outcome::kTimeout && !attempt.timed_out.load();
  return expired && DeadlinePassed(call, now_ns) ? Judgement::kNothing : Judgement::kBad;
}

// Tells allowance, breaker and latency, once for each attempt.
void Judge(Attempt* attempt, Judgement judgement, std::uint64_t now_ns) {
  if (attempt->judged.exchange(true)) return;
  const Taken& taken = attempt->taken;
  if (taken.grant) taken.grant->Settle(taken.reserved, judgement == Judgement::kBad);
  const std::uint64_t first_ns = attempt->first_response_ns.load(std::memory_order_relaxed);
  const std::uint64_t latency_ns = (first_ns != 0 ? first_ns : now_ns) - attempt->began_ns;
  ArmRecord& arm = *attempt->arm;
  if (arm.state.Judge(
          attempt->call->router->policy, judgement, latency_ns, now_ns, attempt->probe)) {
    arm.metrics->Ejected();
  }
  const Keyed& keyed = attempt->keyed;
  if (keyed.keys != nullptr && judgement != Judgement::kNothing && keyed.keys->First(keyed.key)) {
    arm.metrics->KeyEnded(judgement == Judgement::kGood);
  }
}

// Counts what became of the attempt; of the one that it replayed, too.
void Conclude(Attempt* attempt, std::uint64_t now_ns) {
  Call* const call = attempt->call;
  const Outcome outcome = attempt->outcome.load();
  attempt->arm->metrics->Lasted(now_ns - attempt->began_ns);
  attempt->arm->metrics->Count(outcome);
  if (attempt != &call->rescue) return;
  call->first.arm->metrics->Count(
      outcome == Outcome::kOk ? Outcome::kRescued : Outcome::kBothFailed);
  call->router->endpoint->budget.RescueEnded();
}

// Takes a place among the rescues and one on the primary, if the request may be replayed there.
bool TakeRescue(Attempt* lost, Judgement judgement, std::uint64_t now_ns) {
  Call* const call = lost->call;
  const Router& router = *call->router;
  const Policy& policy = router.policy;
  if (!policy.rescue || judgement != Judgement::kBad || call->sequence) return false;
  if (lost != &call->first || call->IsPrimary(*lost)) return false;
  if (call->cancelled.load(std::memory_order_relaxed) || DeadlinePassed(*call, now_ns)) return false;
  const bool ejected = lost->arm->state.breaker.state() != Breaker::State::kClosed;
  if (!router.endpoint->budget.TryRescue(*policy.rescue, ejected)) return false;
  const Arm& primary = policy.arms[policy.primary];
  if (router.Primary()->state.TryBegin(primary.max_in_flight)) return true;
  router.endpoint->budget.RescueEnded();
  return false;
}

void GiveBackRescue(const Call& call) {
  call.router->Primary()->state.Finish();
  call.router->endpoint->budget.RescueEnded();
}

// The lost attempt's error is the caller's answer.
void AnswerLoss(Attempt* lost, TRITONSERVER_Error* error, std::uint64_t now_ns) {
  Conclude(lost, now_ns);
  SendError(lost->call, *lost->arm, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error);
  lost->call->Answered(false, now_ns);
}

void BeginRescue(Attempt* lost) {
  Call* const call = lost->call;
  const Router& router = *call->router;
  const std::uint64_t now_ns = NowNs();
  if (call->cancelled.load(std::memory_order_relaxed) || DeadlinePassed(*call, now_ns)) {
    GiveBackRescue(*call);
    AnswerLoss(lost, lost->loss.get(), now_ns);
    return;
  }
  lost->arm->metrics->Lasted(now_ns - lost->began_ns);
  Begin(
      &call->rescue, router.Primary(), router.policy.arms[router.policy.primary].timeout_us, false);
}

// After TakeRescue, and after the lost attempt was abandoned. The answer that follows lets the caller
// take back the inputs, so an attempt that reads them must have been released first.
void AwaitRescue(Attempt* lost, TRITONSERVER_Error* error) {
  lost->loss = MakeError(TRITONSERVER_ErrorCode(error), TRITONSERVER_ErrorMessage(error));
  const bool reads_callers_inputs = lost->inner != nullptr && !lost->owns_inputs;
  if (!reads_callers_inputs || lost->rescue_waits_for.fetch_sub(1) == 1) {
    BeginRescue(lost);
  } else {
    // Nobody listens to what it still does, and the caller waits for it. The release may come first:
    // then the watch leaves it alone.
    lost->call->router->services->watch->Cancel(lost);
  }
}

// The abandoned attempt is lost, and nothing of it reached the caller: the primary gets the request,
// or the caller the error.
void Lose(Attempt* attempt, Outcome outcome, Judgement judgement, TRITONSERVER_Error* error) {
  const std::uint64_t now_ns = NowNs();
  attempt->outcome = outcome;
  Judge(attempt, judgement, now_ns);
  if (TakeRescue(attempt, judgement, now_ns)) {
    AwaitRescue(attempt, error);
  } else {
    AnswerLoss(attempt, error, now_ns);
  }
}

// Nothing will be heard of the attempt any more.
void Finish(Attempt* attempt) {
  Call* const call = attempt->call;
  call->router->services->watch->Finished(attempt);
  if (attempt->inner != nullptr) {
    LogIfError(TRITONSERVER_InferenceRequestDelete(attempt->inner), "free an inner request");
  }
  attempt->copies.Clear();
  attempt->arm->state.Finish();
  attempt->arm->metrics->Ended();
  call->GiveUpReference();
}

void CloseSide(Attempt* attempt) {
  if (attempt->open.fetch_sub(1, std::memory_order_acq_rel) == 1) Finish(attempt);
}

void OnReleased(
    TRITONSERVER_InferenceRequest*, const std::uint32_t flags, void* userp) noexcept {
  if ((flags & TRITONSERVER_REQUEST_RELEASE_ALL) == 0) return;  // the server will run it once more
  Attempt* const attempt = static_cast<Attempt*>(userp);
  if (!attempt->owns_inputs) {
    if (attempt->rescue_waits_for.fetch_sub(1) == 1) BeginRescue(attempt);
    attempt->call->GiveUpHold();
  }
  CloseSide(attempt);
}

// Which arm answered, for who later asks by the request's id.
void NoteAnswer(const Attempt& attempt) {
  const Router& router = *attempt.call->router;
  RequestLog* const log = router.services->log;
  if (log == nullptr) return;
  const char* id = nullptr;
  const Error unknown(TRITONBACKEND_RequestId(attempt.call->outer, &id));
  if (!unknown && id != nullptr && *id != '\0') {
    log->Note(router.log_seed, id, attempt.arm->logged_as);
  }
}

// The arm has said its last word to the caller.
void Settle(Attempt* attempt, std::uint64_t now_ns) {
  const bool well = attempt->outcome.load() == Outcome::kOk;
  Judge(attempt, well ? Judgement::kGood : Judgement::kNothing, now_ns);
  Conclude(attempt, now_ns);
  if (well) NoteAnswer(*attempt);
  attempt->call->Answered(well, now_ns);
}

void Heard(Attempt* attempt, std::uint64_t now_ns) {
  std::uint64_t none = 0;
  if (attempt->first_response_ns.compare_exchange_strong(none, now_ns)) {
    attempt->arm->metrics->FirstResponse(now_ns - attempt->began_ns);
  }
}

void OnError(Attempt* attempt, std::uint32_t flags, TRITONSERVER_Error* error, std::uint64_t now_ns) {
  const Judgement judgement = JudgementOf(*attempt, error, now_ns);
  if (attempt->phase.load() == Attempt::Phase::kAbandoned) return;
  Judge(attempt, judgement, now_ns);
  if (attempt->phase.load() == Attempt::Phase::kWaiting && TakeRescue(attempt, judgement, now_ns)) {
    if (attempt->Abandon()) {
      attempt->outcome = OutcomeOf(*attempt, error);
      AwaitRescue(attempt, error);
      return;
    }
    GiveBackRescue(*attempt->call);
  }
  if (!attempt->Claim()) return;
  attempt->outcome = OutcomeOf(*attempt, error);
  SendError(attempt->call, *attempt->arm, flags, error);
  Heard(attempt, now_ns);
}

void OnGood(
    Attempt* attempt, std::uint32_t flags, TRITONSERVER_InferenceResponse* inner,
    std::uint64_t now_ns) {
  if (!attempt->Claim()) return;
  if (Error error = SendOn(attempt->call, *attempt->arm, inner, flags)) {
    attempt->outcome = OutcomeOf(*attempt, error.get());
  }
  Heard(attempt, now_ns);
  for (const auto& comparison : attempt->call->comparisons) comparison->GiveAnswer(inner);
  ObserveConfidence(attempt, inner);
}

void OnResponse(
    TRITONSERVER_InferenceResponse* given, const std::uint32_t flags, void* userp) noexcept {
  Attempt* const attempt = static_cast<Attempt*>(userp);
  const std::uint64_t now_ns = NowNs();
  const InnerResponse inner(given);
  const Error error(inner ? TRITONSERVER_InferenceResponseError(inner.get()) : nullptr);
  if (!inner) {
    if (attempt->Claim()) SendFlags(attempt->call, flags);
  } else if (error) {
    OnError(attempt, flags, error.get(), now_ns);
  } else {
    OnGood(attempt, flags, inner.get(), now_ns);
  }
  const bool heard = attempt->phase.load() == Attempt::Phase::kAnswering;
  if (heard) ReportResponse(*attempt->call, now_ns, inner.get(), error.get());
  if ((flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) == 0) return;
  if (heard) Settle(attempt, now_ns);
  CloseSide(attempt);
}

// The caller's own timeout as the arm is told it: unchanged, or to a second arm what is left of it.
std::uint64_t TimeLeftUs(const Attempt& attempt) {
  const Call& call = *attempt.call;
  if (call.timeout_us == 0 || &attempt == &call.first) return call.timeout_us;
  const std::uint64_t spent_us = (NowNs() - call.began_ns) / 1000;
  return call.timeout_us - std::min(spent_us, call.timeout_us - 1);  // 0 would mean no bound
}

// Makes the inner request; on error it may be half made.
Error Prepare(Attempt* attempt, std::uint64_t timeout_us) {
  Call* const call = attempt->call;
  const Router& router = *call->router;
  const char* const model = attempt->arm->model.c_str();
  if (Error error{TRITONSERVER_InferenceRequestNew(&attempt->inner, router.server, model, -1)}) {
    attempt->inner = nullptr;
    // That an arm is absent is the endpoint's trouble, not the caller's mistake.
    return MakeError(
        TRITONSERVER_ERROR_UNAVAILABLE, "endpoint '" + router.policy.endpoint + "' has no arm '" +
                                            model + "' ready: " +
                                            TRITONSERVER_ErrorMessage(error.get()));
  }
  if (timeout_us != 0) {  // it may be given up while it goes on
    if (Error error = attempt->copies.Take(call->outer)) return error;
    attempt->owns_inputs = attempt->copies.held();
  }
  if (Error error = CopyRequest(
          call->outer, attempt->inner, TimeLeftUs(*attempt), attempt->copies.data(),
          &call->batch_size)) {
    return error;
  }
  if (!router.batched) call->batch_size = 1;
  if (router.decoupled && call->factory == nullptr) {
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_ResponseFactoryNew(&call->factory, call->outer));
  }
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_InferenceRequestSetReleaseCallback(attempt->inner, OnReleased, attempt));
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetResponseCallback(
      attempt->inner, router.services->allocator, nullptr, OnResponse, attempt));
  return nullptr;
}

// Hands the request to the arm. On error nothing was started.
Error Submit(Attempt* attempt, std::uint64_t timeout_us) {
  if (Error error = Prepare(attempt, timeout_us)) return error;
  Call* const call = attempt->call;
  const Router& router = *call->router;
  if (attempt == &call->first) call->submitted_ns = NowNs();
  if (!attempt->owns_inputs) call->Hold();
  call->Refer();  // on success the callbacks may have run before this returns
  Error error{
      TRITONSERVER_ServerInferAsync(router.server, attempt->inner, ChildTrace(call->outer))};
  if (!error) {
    router.services->watch->Submitted(
        attempt, timeout_us == 0 ? 0 : attempt->began_ns + timeout_us * 1000);
  } else if (!attempt->owns_inputs) {
    call->GiveUpHold();
  }
  call->GiveUpReference();
  return error;
}

TRITONSERVER_Error* Allocate(
    TRITONSERVER_ResponseAllocator*, const char*, size_t byte_size, TRITONSERVER_MemoryType,
    std::int64_t, void*, void** buffer, void** buffer_userp, TRITONSERVER_MemoryType* memory,
    std::int64_t* memory_id) {
  *buffer = nullptr;
  *buffer_userp = nullptr;
  *memory = TRITONSERVER_MEMORY_CPU;
  *memory_id = 0;
  if (byte_size == 0) return nullptr;
  *buffer = std::malloc(byte_size);
  if (*buffer != nullptr) return nullptr;
  return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, "no memory for an arm's output");
}

TRITONSERVER_Error* Deallocate(
    TRITONSERVER_ResponseAllocator*, void* buffer, void*, size_t, TRITONSERVER_MemoryType,
    std::int64_t) {
  std::free(buffer);
  return nullptr;
}

}  // namespace

Error NewAllocator(TRITONSERVER_ResponseAllocator** allocator) {
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_ResponseAllocatorNew(allocator, Allocate, Deallocate, nullptr));
  return nullptr;
}

void Begin(Attempt* attempt, std::shared_ptr<ArmRecord> arm, std::uint64_t timeout_us, bool probe) {
  Call* const call = attempt->call;
  attempt->arm = std::move(arm);
  attempt->probe = probe;
  attempt->began_ns = NowNs();
  attempt->arm->metrics->Began();
  call->Refer();

  const Error error = Submit(attempt, timeout_us);
  if (!error) return;
  if (attempt->inner != nullptr) {
    LogIfError(TRITONSERVER_InferenceRequestDelete(attempt->inner), "free an inner request");
    attempt->inner = nullptr;
  }
  attempt->phase = Attempt::Phase::kAbandoned;
  const Outcome outcome = OutcomeOf(*attempt, error.get());
  Lose(attempt, outcome, JudgementOf(*attempt, error.get(), NowNs()), error.get());
  Finish(attempt);
}

void TimedOut(Attempt* attempt) {
  if (attempt->phase.load() != Attempt::Phase::kWaiting) return;
  if (!attempt->owns_inputs) {
    // There was no room for copies. It is told to stop, but not given up.
    attempt->timed_out = true;
    attempt->call->router->services->watch->Cancel(attempt);
    return;
  }
  if (!attempt->Abandon()) return;
  attempt->call->router->services->watch->Cancel(attempt);
  const std::uint64_t waited_ms = (NowNs() - attempt->began_ns) / 1'000'000;
  const Error error = MakeError(
      TRITONSERVER_ERROR_UNAVAILABLE, "arm '" + attempt->arm->model + "' of endpoint '" +
                                          attempt->call->router->policy.endpoint +
                                          "' did not answer within its time: " +
                                          std::to_string(waited_ms) + " ms");
  Lose(attempt, Outcome::kTimeout, Judgement::kBad, error.get());
}

}  // namespace nereid
