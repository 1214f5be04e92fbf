#include "decide.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "key_hash.h"
#include "rules.h"
#include "slow_start.h"

namespace nereid {

struct Decider::Choice {
  std::size_t arm = 0;
  bool by_rule = false;
  bool sticky = false;
  Value key;  // where sticky
  std::uint64_t hash = 0;  // of it
};

Decider::Decider(const Policy& policy, std::vector<ArmState*> states, std::uint64_t seed)
    : policy_(policy),
      states_(std::move(states)),
      grants_(policy.arms.size()),
      picker_(policy.slots, seed) {
  for (std::size_t arm = 0; arm < policy.arms.size(); ++arm) {
    if (std::find(policy.slots.begin(), policy.slots.end(), arm) != policy.slots.end()) {
      candidates_.push_back(static_cast<std::uint8_t>(arm));
    }
  }
}

Decision Decider::Decide(const Attributes& attributes, std::uint64_t now_ns) noexcept {
  Choice choice;
  Choose(attributes, now_ns, &choice);
  Decision decision;
  decision.chosen = choice.arm;
  decision.arm = choice.arm;
  if (choice.arm != policy_.primary) {
    decision.diverted = PassGates(choice, now_ns, &decision.probe);
    if (decision.diverted != Diverted::kNo) decision.arm = policy_.primary;
  }
  Begun begun = Begin(decision.arm, now_ns);
  if (begun == Begun::kNothingLeft) {  // another thread took the last of it since the gate
    states_[decision.arm]->breaker.GiveBack(decision.probe);
    decision.probe = false;
    decision.diverted = Diverted::kAllowance;
    decision.arm = policy_.primary;
    begun = Begin(decision.arm, now_ns);
  }
  if (begun == Begun::kFull) Overflow(&decision, now_ns);
  if (choice.sticky && decision.arm == choice.arm && !decision.rejected) {
    decision.key = choice.hash != 0 ? choice.hash : 1;
  }
  return decision;
}

void Decider::Choose(
    const Attributes& attributes, std::uint64_t now_ns, Choice* choice) noexcept {
  if (!policy_.rules.empty()) {
    const int arm = MatchRules(policy_.rules, attributes);
    if (arm >= 0) {
      choice->arm = static_cast<std::size_t>(arm);
      choice->by_rule = true;
      return;
    }
  }
  if (policy_.objective) {
    choice->arm = ChooseAdaptive(now_ns);
  } else if (StickyKey(attributes, &choice->key)) {
    choice->sticky = true;
    choice->hash = Xxh64(choice->key.text, policy_.sticky.seed);
    choice->arm = policy_.slots[SlotOf(choice->hash)];
  } else {
    choice->arm = picker_.Next();
  }
}

bool Decider::StickyKey(const Attributes& attributes, Value* key) const noexcept {
  switch (policy_.sticky.key) {
    case Sticky::Key::kHeader:
      return attributes.Header(policy_.sticky.name, key);
    case Sticky::Key::kParameter:
      return attributes.Parameter(policy_.sticky.name, key);
    case Sticky::Key::kSequence:
      return attributes.Sequence(key);
    case Sticky::Key::kNone:
      break;
  }
  return false;
}

Diverted Decider::PassGates(const Choice& choice, std::uint64_t now_ns, bool* probe) noexcept {
  ArmState& state = *states_[choice.arm];
  if (policy_.breaker) {
    const Breaker::Pass pass = state.breaker.Ask(*policy_.breaker, now_ns);
    if (!pass.allowed) return Diverted::kBreaker;
    *probe = pass.probe;
  }
  Diverted why = Diverted::kNo;
  if (grants_[choice.arm] && !grants_[choice.arm]->Gives(now_ns)) {
    why = Diverted::kAllowance;
  } else if (!RampLets(choice, now_ns)) {
    why = Diverted::kSlowStart;
  }
  if (why != Diverted::kNo) {
    state.breaker.GiveBack(*probe);
    *probe = false;
  }
  return why;
}

bool Decider::RampLets(const Choice& choice, std::uint64_t now_ns) noexcept {
  if (!policy_.slow_start || choice.by_rule) return true;
  ArmState& state = *states_[choice.arm];
  const std::uint64_t from_ns = state.ramp_from_ns.load(std::memory_order_relaxed);
  if (from_ns == 0) return true;
  const double share = RampShare(*policy_.slow_start, now_ns > from_ns ? now_ns - from_ns : 0);
  if (share >= 1) return true;
  // A key that got through once gets through for the rest of the ramp: the share only grows.
  const double place =
      choice.sticky ? FractionOf(Xxh64(choice.key.text, policy_.sticky.seed ^ kThinningSeed))
                    : EvenlySpread(state.turn.fetch_add(1, std::memory_order_relaxed));
  return place < share;
}

Decider::Begun Decider::Begin(std::size_t arm, std::uint64_t now_ns) noexcept {
  ArmState& state = *states_[arm];
  if (!state.TryBegin(policy_.arms[arm].max_in_flight)) return Begun::kFull;
  // Last of all, so that an attempt is never taken for a request that goes elsewhere.
  if (!grants_[arm] || grants_[arm]->Take(now_ns)) return Begun::kYes;
  state.in_flight.fetch_sub(1, std::memory_order_relaxed);
  return Begun::kNothingLeft;
}

void Decider::Overflow(Decision* decision, std::uint64_t now_ns) noexcept {
  states_[decision->arm]->breaker.GiveBack(decision->probe);
  decision->probe = false;
  decision->rejected = true;
  const int overflow = policy_.arms[decision->arm].overflow;
  if (overflow < 0) return;
  const std::size_t other = static_cast<std::size_t>(overflow);
  Breaker::Pass pass{true, false};
  if (other != policy_.primary && policy_.breaker) {
    pass = states_[other]->breaker.Ask(*policy_.breaker, now_ns);
    if (!pass.allowed) return;
  }
  if (Begin(other, now_ns) != Begun::kYes) {
    states_[other]->breaker.GiveBack(pass.probe);
    return;
  }
  decision->arm = other;
  decision->diverted = Diverted::kOverflow;
  decision->probe = pass.probe;
  decision->rejected = false;
}

std::size_t Decider::ChooseAdaptive(std::uint64_t now_ns) noexcept {
  std::array<std::uint8_t, kMaxArms> arms;
  const std::size_t count = Admitted(now_ns, arms.data());
  if (count == 0) return policy_.primary;
  const std::uint64_t n = decisions_.fetch_add(1, std::memory_order_relaxed);
  if (EvenlySpread(n) * 10'000 < policy_.objective->explore_parts) {
    return arms[explorations_.fetch_add(1, std::memory_order_relaxed) % count];
  }
  std::array<double, kMaxArms> scores;
  ScoreArms(arms.data(), count, scores.data());
  // Begun at another arm each time, the first of equal scores is another arm each time.
  std::size_t at = n % count;
  std::size_t best = at;
  for (std::size_t i = 1; i < count; ++i) {
    if (++at == count) at = 0;
    if (scores[at] < scores[best]) best = at;
  }
  return arms[best];
}

std::size_t Decider::Admitted(std::uint64_t now_ns, std::uint8_t* arms) const noexcept {
  std::size_t count = 0;
  for (const std::uint8_t arm : candidates_) {
    const ArmState& state = *states_[arm];
    const bool admitted =
        arm == policy_.primary || ((!policy_.breaker || state.breaker.WouldAllow(now_ns)) &&
                                   (!grants_[arm] || grants_[arm]->Gives(now_ns)));
    if (admitted) arms[count++] = arm;
  }
  return count;
}

void Decider::ScoreArms(
    const std::uint8_t* arms, std::size_t count, double* scores) const noexcept {
  std::array<double, kMaxArms> latencies;
  double max_latency = 0;
  double latency_sum = 0;
  std::size_t measured = 0;
  double max_cost = 0;
  double best_accuracy = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Arm& arm = policy_.arms[arms[i]];
    latencies[i] = states_[arms[i]]->latency.value_ns();
    max_latency = std::max(max_latency, latencies[i]);
    latency_sum += latencies[i];
    if (latencies[i] > 0) ++measured;
    max_cost = std::max(max_cost, arm.cost);
    best_accuracy = std::max(best_accuracy, arm.accuracy);
  }
  // Nobody knows yet how slow a new arm is: neither the best nor the worst is assumed.
  const double typical = measured > 0 ? latency_sum / static_cast<double>(measured) : 0;
  const Objective& weights = *policy_.objective;
  for (std::size_t i = 0; i < count; ++i) {
    const Arm& arm = policy_.arms[arms[i]];
    const double in_flight =
        static_cast<double>(states_[arms[i]]->in_flight.load(std::memory_order_relaxed));
    const double known = latencies[i] > 0 ? latencies[i] : typical;
    const double latency = max_latency > 0 ? known / max_latency : 0;
    const double cost = max_cost > 0 ? arm.cost / max_cost : 0;
    const double load = std::min(1.0, in_flight / arm.capacity);
    const double loss = best_accuracy > 0 && arm.accuracy >= 0
                            ? (best_accuracy - arm.accuracy) / best_accuracy
                            : 0;
    scores[i] = weights.alpha * latency + weights.beta * cost + weights.gamma * load +
                weights.delta * loss;
  }
}

void Decider::Scores(double* scores, std::uint64_t now_ns) const noexcept {
  std::fill_n(scores, policy_.arms.size(), std::numeric_limits<double>::quiet_NaN());
  if (!policy_.objective) return;
  std::array<std::uint8_t, kMaxArms> arms;
  std::array<double, kMaxArms> found;
  const std::size_t count = Admitted(now_ns, arms.data());
  ScoreArms(arms.data(), count, found.data());
  for (std::size_t i = 0; i < count; ++i) scores[arms[i]] = found[i];
}

}  // namespace nereid
