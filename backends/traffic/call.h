// One caller's request and the attempts to have it answered: who holds what, and until when.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "input_copies.h"
#include "key_set.h"
#include "router.h"

namespace nereid {

class Comparison;
class ShadowCopies;
struct Call;

// What an attempt has of its arm's allowance.
struct Taken {
  std::shared_ptr<Grant> grant;  // null: it needed nothing
  bool reserved = false;         // a failure of it
};

// The sticky key that led a request to its arm, and the arm's set of them; null where none did.
struct Keyed {
  KeySet* keys = nullptr;  // of the router, which the call holds
  std::uint64_t key = 0;
};

// One inner request.
//
// It ends when two things happened, in either order and on any thread: the arm sent its final
// response, and the server released the inner request, which reads the inputs until then. Only then
// is it deleted: until then it can be cancelled.
struct Attempt {
  enum class Phase {
    kWaiting,    // no response yet: a timeout or a failure may still give the request to another arm
    kAnswering,  // the caller hears this arm
    kAbandoned,  // whatever the arm says now, nobody listens
  };

  Call* call = nullptr;
  std::shared_ptr<ArmRecord> arm;
  InputCopies copies;
  bool owns_inputs = false;  // reads those copies; else the caller's buffers
  std::uint64_t began_ns = 0;
  bool probe = false;  // of a half-open breaker
  Taken taken;
  Keyed keyed;  // of a first attempt
  // A streaming arm may answer from several threads at once.
  std::atomic<Phase> phase{Phase::kWaiting};
  std::atomic<Outcome> outcome{Outcome::kOk};
  std::atomic<bool> judged{false};
  std::atomic<bool> confidence_read{false};
  std::atomic<std::uint64_t> first_response_ns{0};  // 0: none yet
  std::atomic<int> open{2};
  std::atomic<bool> timed_out{false};    // told to stop, though it has to be waited for
  std::atomic<int> rescue_waits_for{2};  // the loss, and the release
  Error loss;                            // what it said, while a rescue waits

  TRITONSERVER_InferenceRequest* inner = nullptr;  // from before it was submitted to the end

  // Under the lock that Watch has for the call.
  bool watched = false;  // submitted, and not yet at its end: it can be cancelled
  bool finished = false;
  std::uint64_t timeout_at_ns = 0;  // 0: none

  // The arm may speak to the caller, if nobody has decided otherwise meanwhile.
  bool Claim() noexcept {
    Phase expected = Phase::kWaiting;
    return phase.compare_exchange_strong(expected, Phase::kAnswering) ||
           expected == Phase::kAnswering;
  }

  // From now on the arm is not heard; false if it spoke already.
  bool Abandon() noexcept {
    Phase expected = Phase::kWaiting;
    return phase.compare_exchange_strong(expected, Phase::kAbandoned);
  }
};

// `outer` is released when the last Hold on it was given up: one stands for the answer, one for the
// thread that forwards it, one for each attempt that reads its buffers, one for each shadow that
// still has to copy them. The Call itself
// lives until the last Reference was given up: a Hold by anyone, an attempt or the watch coming back.
struct Call {
  Call(std::shared_ptr<Router> routed_by, TRITONBACKEND_ModelInstance* on,
       TRITONBACKEND_Request* request);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void Hold() noexcept { holds.fetch_add(1, std::memory_order_relaxed); }
  void GiveUpHold();
  void Refer() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  void GiveUpReference();

  // The caller has its last response, or its error.
  void Answered(bool well, std::uint64_t at_ns);

  bool IsPrimary(const Attempt& attempt) const { return attempt.arm == router->Primary(); }

  const Open open;
  const std::shared_ptr<Router> router;
  TRITONBACKEND_ModelInstance* const instance;
  TRITONBACKEND_Request* const outer;
  TRITONBACKEND_ResponseFactory* factory = nullptr;  // only where responses are streamed
  std::shared_ptr<ShadowCopies> shadow_copies;  // null where no shadow is cast
  std::vector<std::shared_ptr<Comparison>> comparisons;
  std::shared_ptr<void> pin;  // of a sequence: it is not idle while a request of it runs
  std::uint64_t batch_size = 1;
  std::uint64_t timeout_us = 0;  // the caller's own, from `began_ns`; 0: none
  bool sequence = false;
  std::uint64_t began_ns;
  std::uint64_t submitted_ns;
  std::uint64_t answered_ns = 0;
  bool answered_well = false;
  std::atomic<bool> cancelled{false};

  Attempt first;
  Attempt rescue;

  // Of Watch.
  Call* next = nullptr;
  Call* previous = nullptr;

 private:
  void ReleaseOuter();

  std::atomic<int> holds{1};
  std::atomic<int> references{1};
};

}  // namespace nereid
