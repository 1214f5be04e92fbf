// C entry points to the single parts that decisions are made of.

#include <memory>
#include <optional>
#include <unordered_map>

#include "allowance.h"
#include "breaker.h"
#include "compare.h"
#include "confidence.h"
#include "entry.h"
#include "key_hash.h"
#include "latency.h"
#include "rescue_budget.h"
#include "sequence_pins.h"
#include "slow_start.h"

namespace {

struct nereid_breaker {
  nereid::BreakerRule rule;
  nereid::Breaker breaker;
};

struct nereid_grant {
  std::shared_ptr<nereid::Grant> grant;
};

struct nereid_pins;

// Looks at the pins when it goes: that must not find their lock held.
struct Pinned {
  Pinned(std::uint64_t number, nereid_pins* holder) : id(number), pins(holder) {}
  ~Pinned();

  std::uint64_t id;
  nereid_pins* pins;
};

struct nereid_pins {
  nereid::SequencePins pins;
  std::unordered_map<std::uint64_t, nereid::SequencePins::Target> held;
  std::size_t dropped = 0;
};

Pinned::~Pinned() {
  pins->pins.size();
  ++pins->dropped;
}

}  // namespace

NEREID_EXPORT std::uint64_t nereid_xxh64(nereid_text bytes, std::uint64_t seed) {
  return nereid::Xxh64(bytes.view(), seed);
}

NEREID_EXPORT std::size_t nereid_slot_of(std::uint64_t hash) { return nereid::SlotOf(hash); }

NEREID_EXPORT double nereid_evenly_spread(std::uint64_t n) { return nereid::EvenlySpread(n); }

NEREID_EXPORT double nereid_ramp_share(
    std::uint64_t window_ns, double aggression, std::uint64_t elapsed_ns) {
  return nereid::RampShare(nereid::SlowStartRule{window_ns, aggression}, elapsed_ns);
}

NEREID_EXPORT nereid_breaker* nereid_breaker_new(
    std::uint32_t consecutive, std::uint32_t rate_parts, std::uint32_t min_requests,
    std::uint64_t window_ns, std::uint64_t open_ns, std::uint64_t max_open_ns,
    std::uint64_t latency_ns) {
  auto* breaker = new nereid_breaker;
  breaker->rule = {consecutive, rate_parts,  min_requests, window_ns,
                   open_ns,     max_open_ns, latency_ns};
  return breaker;
}

NEREID_EXPORT void nereid_breaker_delete(nereid_breaker* breaker) { delete breaker; }

// Bit 0: allowed; bit 1: as a probe.
NEREID_EXPORT std::uint32_t nereid_breaker_ask(nereid_breaker* breaker, std::uint64_t now_ns) {
  const nereid::Breaker::Pass pass = breaker->breaker.Ask(breaker->rule, now_ns);
  return (pass.allowed ? 1U : 0U) | (pass.probe ? 2U : 0U);
}

NEREID_EXPORT bool nereid_breaker_would_allow(nereid_breaker* breaker, std::uint64_t now_ns) {
  return breaker->breaker.WouldAllow(now_ns);
}

// Bit 0: this opened it; bit 1: this closed it.
NEREID_EXPORT std::uint32_t nereid_breaker_record(
    nereid_breaker* breaker, bool failed, std::uint64_t latency_ns, std::uint64_t now_ns,
    bool probe) {
  const nereid::Breaker::Verdict verdict =
      breaker->breaker.Record(breaker->rule, failed, latency_ns, now_ns, probe);
  return (verdict.opened ? 1U : 0U) | (verdict.closed ? 2U : 0U);
}

NEREID_EXPORT void nereid_breaker_give_back(nereid_breaker* breaker, bool probe) {
  breaker->breaker.GiveBack(probe);
}

NEREID_EXPORT std::uint32_t nereid_breaker_state(const nereid_breaker* breaker) {
  return static_cast<std::uint32_t>(breaker->breaker.state());
}

NEREID_EXPORT nereid::ArmAllowance* nereid_allowance_new() { return new nereid::ArmAllowance; }

NEREID_EXPORT void nereid_allowance_delete(nereid::ArmAllowance* allowance) { delete allowance; }

// An empty grant: no allowance.
NEREID_EXPORT void nereid_allowance_adopt(
    nereid::ArmAllowance* its, nereid_text grant, std::int64_t attempts, std::int64_t failures,
    std::int64_t until_unix_ms, std::int64_t now_unix_ms, std::uint64_t now_ns) {
  std::optional<nereid::Allowance> allowance;
  if (grant.size != 0) {
    allowance = nereid::Allowance{std::string(grant.view()), attempts, failures, until_unix_ms};
  }
  its->Adopt(allowance, now_unix_ms, now_ns);
}

NEREID_EXPORT bool nereid_allowance_continue(
    nereid::ArmAllowance* its, const nereid::ArmAllowance* other, nereid_text grant) {
  return its->ContinueFrom(*other, std::string(grant.view()));
}

// The grant in force, to hold and to give up; null for none.
NEREID_EXPORT nereid_grant* nereid_allowance_current(const nereid::ArmAllowance* its) {
  const std::shared_ptr<nereid::Grant> current = its->Current();
  return current ? new nereid_grant{current} : nullptr;
}

NEREID_EXPORT void nereid_grant_delete(nereid_grant* held) { delete held; }

NEREID_EXPORT bool nereid_grant_take(nereid_grant* held, std::uint64_t now_ns) {
  return held->grant->Take(now_ns);
}

NEREID_EXPORT bool nereid_grant_take_anyway(nereid_grant* held, std::uint64_t now_ns) {
  return held->grant->TakeAnyway(now_ns);
}

NEREID_EXPORT void nereid_grant_settle(nereid_grant* held, bool reserved, bool failed) {
  held->grant->Settle(reserved, failed);
}

NEREID_EXPORT bool nereid_grant_gives(const nereid_grant* held, std::uint64_t now_ns) {
  return held->grant->Gives(now_ns);
}

NEREID_EXPORT bool nereid_grant_spent(const nereid_grant* held, std::uint64_t now_ns) {
  return held->grant->Spent(now_ns);
}

NEREID_EXPORT std::int64_t nereid_grant_attempts_left(const nereid_grant* held) {
  return held->grant->attempts_left();
}

NEREID_EXPORT std::int64_t nereid_grant_failures_left(const nereid_grant* held) {
  return held->grant->failures_left();
}

// The estimate after each of the samples.
NEREID_EXPORT void nereid_peak_ewma(
    const std::uint64_t* latencies_ns, const std::uint64_t* times_ns, std::size_t count,
    double* estimates) {
  nereid::PeakEwma latency;
  for (std::size_t i = 0; i < count; ++i) {
    latency.Record(latencies_ns[i], times_ns[i]);
    estimates[i] = latency.value_ns();
  }
}

NEREID_EXPORT nereid::RescueBudget* nereid_budget_new() { return new nereid::RescueBudget; }

NEREID_EXPORT void nereid_budget_delete(nereid::RescueBudget* budget) { delete budget; }

NEREID_EXPORT void nereid_budget_request(nereid::RescueBudget* budget, bool began) {
  began ? budget->Began() : budget->Ended();
}

NEREID_EXPORT bool nereid_budget_try(
    nereid::RescueBudget* budget, std::uint32_t parts, std::uint32_t floor, bool unbounded) {
  return budget->TryRescue(nereid::RescueRule{parts, floor}, unbounded);
}

NEREID_EXPORT void nereid_budget_rescue_ended(nereid::RescueBudget* budget) {
  budget->RescueEnded();
}

NEREID_EXPORT nereid_pins* nereid_pins_new() { return new nereid_pins; }

NEREID_EXPORT void nereid_pins_delete(nereid_pins* pins) {
  pins->held.clear();
  pins->pins.Expire(~std::uint64_t{0});
  delete pins;
}

// The target's number, 0 for none.
NEREID_EXPORT std::uint64_t nereid_pins_find(
    nereid_pins* pins, nereid_text key, std::uint64_t now_ns) {
  const nereid::SequencePins::Target target = pins->pins.Find(key.view(), now_ns);
  return target ? static_cast<Pinned*>(target.get())->id : 0;
}

NEREID_EXPORT void nereid_pins_pin(
    nereid_pins* pins, nereid_text key, std::uint64_t target, std::uint64_t now_ns,
    std::uint64_t idle_ns) {
  pins->pins.Pin(key.view(), std::make_shared<Pinned>(target, pins), now_ns, idle_ns);
}

NEREID_EXPORT void nereid_pins_unpin(nereid_pins* pins, nereid_text key) {
  pins->pins.Unpin(key.view());
}

NEREID_EXPORT std::size_t nereid_pins_expire(nereid_pins* pins, std::uint64_t now_ns) {
  return pins->pins.Expire(now_ns);
}

// A request of the sequence runs until `nereid_pins_release`.
NEREID_EXPORT void nereid_pins_hold(
    nereid_pins* pins, nereid_text key, std::uint64_t now_ns, std::uint64_t request) {
  pins->held[request] = pins->pins.Find(key.view(), now_ns);
}

NEREID_EXPORT void nereid_pins_release(nereid_pins* pins, std::uint64_t request) {
  pins->held.erase(request);
}

NEREID_EXPORT std::size_t nereid_pins_size(const nereid_pins* pins) { return pins->pins.size(); }

// Targets that nothing holds any more and that were let go of.
NEREID_EXPORT std::size_t nereid_pins_dropped(const nereid_pins* pins) { return pins->dropped; }

NEREID_EXPORT bool nereid_compare(
    int answer_type, const std::int64_t* answer_shape, std::size_t answer_dims, nereid_text answer,
    int shadow_type, const std::int64_t* shadow_shape, std::size_t shadow_dims, nereid_text shadow,
    double* max_abs, std::uint64_t* rows, std::uint64_t* agreed) {
  const nereid::Difference difference = nereid::Compare(
      {answer_type, answer_shape, answer_dims, answer.data, answer.size},
      {shadow_type, shadow_shape, shadow_dims, shadow.data, shadow.size});
  *max_abs = difference.max_abs;
  *rows = difference.rows;
  *agreed = difference.agreed;
  return difference.comparable;
}

// -1 where there is none.
NEREID_EXPORT double nereid_confidence(
    int datatype, const std::int64_t* shape, std::size_t dims, nereid_text data, bool logits) {
  using Scores = nereid::ConfidenceRule::Scores;
  return nereid::ConfidenceOf(
             {datatype, shape, dims, data.data, data.size},
             logits ? Scores::kLogits : Scores::kProbabilities)
      .value_or(-1);
}

// How many there are; at most `size` of them are written.
NEREID_EXPORT std::size_t nereid_confidence_edges(double* edges, std::size_t size) {
  const std::vector<double> all = nereid::ConfidenceEdges();
  for (std::size_t i = 0; i < all.size() && i < size; ++i) edges[i] = all[i];
  return all.size();
}
