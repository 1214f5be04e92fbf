// The lines of policy.txt that guard or optimise: breaker, slow_start, rescue, objective, sequences.

#include "parse_policy.h"

namespace nereid {
namespace {

constexpr std::uint64_t kMaxCount = 1'000'000'000;
constexpr std::uint64_t kMaxMicroseconds = 1'000'000'000'000'000;  // 31 years

std::uint32_t Count(LineWords* words, std::string_view what, std::uint64_t most) {
  return static_cast<std::uint32_t>(words->Number(what, 0, most));
}

std::uint64_t DurationNs(LineWords* words) {
  return words->Number("number of microseconds", 1, kMaxMicroseconds) * 1000;
}

}  // namespace

void PolicyParser::ReadBreaker(LineWords* words) {
  BreakerRule rule;
  words->Expect("consecutive");
  rule.consecutive = Count(words, "number of failures", kMaxCount);
  words->Expect("rate");
  rule.rate_parts = Count(words, "rate", kSlots);
  words->Expect("min_requests");
  rule.min_requests = Count(words, "number of requests", kMaxCount);
  words->Expect("window_us");
  rule.window_ns = DurationNs(words);
  words->Expect("open_us");
  rule.open_ns = DurationNs(words);
  words->Expect("max_open_us");
  rule.max_open_ns = DurationNs(words);
  if (words->Take("latency_us")) rule.latency_ns = DurationNs(words);
  policy_->breaker = rule;
}

void PolicyParser::ReadSlowStart(LineWords* words) {
  SlowStartRule rule;
  words->Expect("window_us");
  rule.window_ns = DurationNs(words);
  words->Expect("aggression");
  rule.aggression = words->Decimal("aggression");
  if (!words->failed() && rule.aggression <= 0) words->Fail("an aggression is above 0");
  policy_->slow_start = rule;
}

void PolicyParser::ReadRescue(LineWords* words) {
  RescueRule rule;
  words->Expect("budget");
  rule.budget_parts = Count(words, "budget", kSlots);
  words->Expect("floor");
  rule.floor = Count(words, "floor", kMaxCount);
  policy_->rescue = rule;
}

void PolicyParser::ReadObjective(LineWords* words) {
  Objective objective;
  words->Expect("alpha");
  objective.alpha = words->Decimal("weight");
  words->Expect("beta");
  objective.beta = words->Decimal("weight");
  words->Expect("gamma");
  objective.gamma = words->Decimal("weight");
  words->Expect("delta");
  objective.delta = words->Decimal("weight");
  words->Expect("explore");
  objective.explore_parts = Count(words, "share", kSlots);
  policy_->objective = objective;
}

void PolicyParser::ReadSequences(LineWords* words) {
  SequenceRule rule;
  rule.cut = words->Take("cut");
  if (!rule.cut) words->Expect("finish");
  words->Expect("idle_us");
  rule.idle_ns = DurationNs(words);
  policy_->sequences = rule;
}

}  // namespace nereid
