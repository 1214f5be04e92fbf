// A router's policy, as the control plane writes it into policy.txt. Values only, free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nereid {

constexpr std::size_t kSlots = 10000;
constexpr std::size_t kMaxArms = 64;

// Arm::overflow where it is no index. ParsePolicy resolves the default: the primary takes over, and
// what the primary cannot take is refused.
constexpr int kOverflowReject = -1;
constexpr int kOverflowDefault = -2;

// How much an arm may be tried. The count belongs to the grant word: a policy with the same one goes
// on counting. -1: no bound.
struct Allowance {
  std::string grant;
  std::int64_t attempts = -1;
  std::int64_t failures = -1;
  std::int64_t until_unix_ms = -1;
};

struct Arm {
  std::string model;
  double cost = 0;
  double accuracy = -1;             // -1: not given
  std::uint32_t capacity = 1;       // requests in flight that are a full load, for adaptive
  std::uint32_t max_in_flight = 0;  // 0: no limit
  int overflow = kOverflowDefault;  // after ParsePolicy: an arm's index or kOverflowReject
  std::uint64_t timeout_us = 0;     // 0: none
  std::optional<Allowance> allowance;
};

struct Condition {
  enum class Source { kHeader, kParameter };
  enum class Test { kEquals, kIn, kPrefix };
  Source source = Source::kHeader;
  std::string name;  // a header's is in lower case
  Test test = Test::kEquals;
  std::vector<std::string> values;  // one, or more with kIn
};

// Requests that meet all the conditions go to the arm.
struct Rule {
  std::size_t arm = 0;
  std::vector<Condition> conditions;
};

// What keeps a caller on one arm: the request's value of `key`, hashed to a slot.
struct Sticky {
  enum class Key { kNone, kHeader, kParameter, kSequence };
  Key key = Key::kNone;
  std::string name;
  std::string salt;
  std::uint64_t seed = 0;  // XXH64 of the salt
};

// `parts` of 10,000 requests are copied to the arm.
struct ShadowRule {
  std::size_t arm = 0;
  std::uint32_t parts = 0;
  std::uint32_t max_in_flight = 0;
  std::string compare;  // the output to compare; empty: none
};

// Of which output it is counted how sure answers are. Its last dimension are the classes.
struct ConfidenceRule {
  enum class Scores { kProbabilities, kLogits };
  std::string output;
  Scores scores = Scores::kProbabilities;
};

struct BreakerRule {
  std::uint32_t consecutive = 0;  // 0: this test is off
  std::uint32_t rate_parts = 0;   // of 10,000; 0: this test is off
  std::uint32_t min_requests = 0;
  std::uint64_t window_ns = 0;
  std::uint64_t open_ns = 0;
  std::uint64_t max_open_ns = 0;
  std::uint64_t latency_ns = 0;  // a success slower than this counts as a failure; 0: none
};

struct SlowStartRule {
  std::uint64_t window_ns = 0;
  double aggression = 1;
};

struct RescueRule {
  std::uint32_t budget_parts = 0;  // of 10,000 of the endpoint's requests in flight
  std::uint32_t floor = 0;
};

// Adaptive mode: the arm with the lowest weighted sum of latency, cost, load and accuracy loss.
struct Objective {
  double alpha = 0;
  double beta = 0;
  double gamma = 0;
  double delta = 0;
  std::uint32_t explore_parts = 0;  // of 10,000 decisions
};

struct SequenceRule {
  bool cut = false;  // a live sequence ends when its arm leaves; else it finishes there
  std::uint64_t idle_ns = 60'000'000'000;
};

struct Policy {
  std::string endpoint;
  std::uint64_t generation = 0;
  std::vector<Arm> arms;
  std::size_t primary = 0;
  std::vector<std::uint8_t> slots;  // kSlots entries: the arm of each slot
  Sticky sticky;
  std::vector<Rule> rules;
  std::vector<ShadowRule> shadows;
  std::optional<ConfidenceRule> confidence;
  std::optional<BreakerRule> breaker;
  std::optional<SlowStartRule> slow_start;
  std::optional<RescueRule> rescue;
  std::optional<Objective> objective;  // present: adaptive mode
  SequenceRule sequences;
};

struct PolicyError {
  std::size_t line = 0;  // from 1
  std::string reason;
};

// True and `policy` filled, or false and `error` filled. A keyword this version does not know is an
// error: a router that ignored half of a policy would route wrongly and say nothing.
bool ParsePolicy(std::string_view text, Policy* policy, PolicyError* error);

}  // namespace nereid
