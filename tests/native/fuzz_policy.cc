// libFuzzer's target for the policy's parser: what it accepts must be whole, and safe to route by.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "../../backends/traffic/arm_state.h"
#include "../../backends/traffic/attributes.h"
#include "../../backends/traffic/decide.h"
#include "../../backends/traffic/policy.h"

namespace {

using namespace nereid;

void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "an accepted policy is not sound: %s\n", what);
  std::abort();
}

// A request that has every header, parameter and sequence a policy asks for: with a value that the
// policy itself compares with, or another.
class Asked : public Attributes {
 public:
  Asked(const Policy& policy, std::size_t turn) : turn_(turn) {
    for (const Rule& rule : policy.rules) {
      for (const Condition& condition : rule.conditions) {
        for (const std::string& value : condition.values) values_.push_back(value);
      }
    }
    values_.push_back("someone");
  }
  bool Header(std::string_view, Value* value) const noexcept override { return Give(value); }
  bool Parameter(std::string_view, Value* value) const noexcept override { return Give(value); }
  bool Sequence(Value* value) const noexcept override { return Give(value); }

 private:
  bool Give(Value* value) const noexcept {
    if (turn_ % 5 == 4) return false;
    value->text = values_[turn_ % values_.size()];
    return true;
  }
  std::size_t turn_;
  std::vector<std::string_view> values_;
};

void CheckArms(const Policy& policy) {
  const std::size_t arms = policy.arms.size();
  Expect(arms >= 1 && arms <= kMaxArms, "number of arms");
  Expect(policy.primary < arms, "the primary's index");
  Expect(!policy.endpoint.empty(), "the endpoint's name");
  for (const Arm& arm : policy.arms) {
    Expect(!arm.model.empty(), "an arm's name");
    Expect(arm.overflow >= kOverflowReject && arm.overflow < static_cast<int>(arms), "overflow");
    Expect(std::isfinite(arm.cost) && arm.cost >= 0, "cost");
    Expect(std::isfinite(arm.accuracy), "accuracy");
    Expect(arm.capacity >= 1, "capacity");
  }
  Expect(!policy.arms[policy.primary].allowance.has_value(), "an allowance of the primary");
}

void CheckRest(const Policy& policy) {
  const std::size_t arms = policy.arms.size();
  Expect(policy.slots.size() == kSlots, "slots are not full");
  for (const std::uint8_t slot : policy.slots) Expect(slot < arms, "a slot's arm");
  for (const Rule& rule : policy.rules) {
    Expect(rule.arm < arms && !rule.conditions.empty(), "a rule");
    for (const Condition& condition : rule.conditions) {
      Expect(!condition.values.empty(), "a condition without values");
      Expect(condition.test == Condition::Test::kIn || condition.values.size() == 1, "one value");
    }
  }
  std::vector<bool> shadowed(arms, false);
  for (const ShadowRule& shadow : policy.shadows) {
    Expect(shadow.arm < arms && !shadowed[shadow.arm], "a shadow's arm");
    Expect(shadow.parts <= kSlots, "a shadow's parts");
    shadowed[shadow.arm] = true;
  }
  if (policy.confidence) Expect(!policy.confidence->output.empty(), "an output without a name");
  if (policy.breaker) Expect(policy.breaker->rate_parts <= kSlots, "the breaker's rate");
  if (policy.slow_start) Expect(policy.slow_start->aggression > 0, "aggression");
  if (policy.rescue) Expect(policy.rescue->budget_parts <= kSlots, "the rescue's budget");
  if (policy.objective) {
    const Objective& objective = *policy.objective;
    const double sum = objective.alpha + objective.beta + objective.gamma + objective.delta;
    Expect(std::isfinite(sum) && sum > 0, "the objective's weights");
    Expect(objective.explore_parts <= kSlots, "exploration");
  }
}

void Route(const Policy& policy) {
  std::vector<std::unique_ptr<ArmState>> states;
  std::vector<ArmState*> pointers;
  std::vector<std::shared_ptr<Grant>> grants;
  std::uint64_t now_ns = 1'000'000'000;
  for (std::size_t i = 0; i < policy.arms.size(); ++i) {
    states.push_back(std::make_unique<ArmState>());
    grants.push_back(states.back()->Adopt(policy, i, 1'700'000'000'000, now_ns, i % 2 == 0));
    pointers.push_back(states.back().get());
  }
  Decider decider(policy, pointers, 7);
  decider.Adopt(grants);
  for (std::size_t turn = 0; turn < 40; ++turn) {
    now_ns += 1'000'000;
    const Decision decision = decider.Decide(Asked(policy, turn), now_ns);
    Expect(decision.arm < policy.arms.size(), "a decision's arm");
    Expect(decision.chosen < policy.arms.size(), "a decision's choice");
    if (decision.rejected) continue;
    ArmState& state = *pointers[decision.arm];
    const auto judgement =
        turn % 3 == 0 ? ArmState::Judgement::kBad : ArmState::Judgement::kGood;
    if (grants[decision.arm]) {
      grants[decision.arm]->Settle(true, judgement == ArmState::Judgement::kBad);
    }
    state.Judge(policy, judgement, 1'000'000 * turn, now_ns, decision.probe);
    state.Finish();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Policy policy;
  PolicyError error;
  if (!ParsePolicy(text, &policy, &error)) {
    if (error.reason.empty()) std::abort();
    return 0;
  }
  CheckArms(policy);
  CheckRest(policy);
  Route(policy);
  // For the test of the corpus, which runs each seed alone.
  if (std::getenv("FUZZ_SAYS_ACCEPTED") != nullptr) std::puts("accepted");
  return 0;
}
