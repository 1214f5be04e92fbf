// Which arm a request goes to: every rule of the policy, in order. Free of Triton.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "arm_state.h"
#include "attributes.h"
#include "picker.h"
#include "policy.h"

namespace nereid {

enum class Diverted { kNo, kBreaker, kAllowance, kSlowStart, kOverflow };

struct Decision {
  std::size_t arm = 0;     // where it goes; when rejected, the arm that was full
  std::size_t chosen = 0;  // what rules, key or turn chose
  Diverted diverted = Diverted::kNo;  // the last reason why `arm` is not `chosen`
  bool probe = false;                 // a half-open breaker's: give it to ArmState::Judge
  bool rejected = false;              // nothing has been counted
  std::uint64_t key = 0;  // hash of the sticky key that led to `arm`; 0: none did
};

// control_plane/domain/routing/meaning.py says in Python what this means. Safe from any thread; a
// decision takes no lock and allocates nothing.
class Decider {
 public:
  // Keeps references to the policy and, one for each arm in its order, the states.
  Decider(const Policy& policy, std::vector<ArmState*> states, std::uint64_t seed);

  // The grants of the arms, in their order; before the first decision. Null: no allowance.
  void Adopt(std::vector<std::shared_ptr<Grant>> grants) { grants_ = std::move(grants); }

  // Unless rejected, states[arm] has been counted in and, where grant(arm) is one, an attempt and a
  // failure taken of it: each decision needs one Grant::Settle, one ArmState::Judge and one Finish.
  Decision Decide(const Attributes& attributes, std::uint64_t now_ns) noexcept;

  // One score for each arm as adaptive sees them now, NaN for arms that it would not send requests
  // to. Without a time, an open breaker stays open and no deadline has passed.
  void Scores(double* scores, std::uint64_t now_ns = 0) const noexcept;

  const Policy& policy() const { return policy_; }
  const std::shared_ptr<Grant>& grant(std::size_t arm) const { return grants_[arm]; }

 private:
  struct Choice;
  enum class Begun { kYes, kFull, kNothingLeft };

  void Choose(const Attributes& attributes, std::uint64_t now_ns, Choice* choice) noexcept;
  bool StickyKey(const Attributes& attributes, Value* key) const noexcept;
  std::size_t ChooseAdaptive(std::uint64_t now_ns) noexcept;
  std::size_t Admitted(std::uint64_t now_ns, std::uint8_t* arms) const noexcept;
  void ScoreArms(const std::uint8_t* arms, std::size_t count, double* scores) const noexcept;
  Diverted PassGates(const Choice& choice, std::uint64_t now_ns, bool* probe) noexcept;
  bool RampLets(const Choice& choice, std::uint64_t now_ns) noexcept;
  Begun Begin(std::size_t arm, std::uint64_t now_ns) noexcept;
  void Overflow(Decision* decision, std::uint64_t now_ns) noexcept;

  const Policy& policy_;
  const std::vector<ArmState*> states_;
  std::vector<std::shared_ptr<Grant>> grants_;
  std::vector<std::uint8_t> candidates_;  // arms with slots
  Picker picker_;
  alignas(64) std::atomic<std::uint64_t> decisions_{0};  // adaptive ones
  std::atomic<std::uint64_t> explorations_{0};
};

}  // namespace nereid
