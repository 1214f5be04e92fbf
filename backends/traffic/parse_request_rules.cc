// The lines of policy.txt that look at a request or its answer: sticky, rule, and, shadow,
// confidence.

#include <algorithm>

#include "key_hash.h"
#include "parse_policy.h"

namespace nereid {
namespace {

constexpr std::uint64_t kMaxInFlight = 1'000'000'000;

// Headers are compared without case, which costs least when the policy's side is lower already.
std::string ReadHeaderName(LineWords* words) {
  std::string name = words->Text("header name");
  if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    words->Fail("the header name " + Quoted(name) + " must be in lower case");
  }
  return name;
}

void MustNotBeEmpty(LineWords* words, const std::string& name) {
  if (name.empty()) words->Fail("a name in " + Quoted(words->keyword()) + " is empty");
}

Condition ReadCondition(LineWords* words) {
  Condition condition;
  if (words->Take("header")) {
    condition.source = Condition::Source::kHeader;
    condition.name = ReadHeaderName(words);
  } else {
    words->Expect("parameter");
    condition.source = Condition::Source::kParameter;
    condition.name = words->Text("parameter name");
  }
  MustNotBeEmpty(words, condition.name);
  if (words->Take("in")) {
    condition.test = Condition::Test::kIn;
  } else if (words->Take("prefix")) {
    condition.test = Condition::Test::kPrefix;
  } else {
    words->Expect("equals");
  }
  do {
    condition.values.push_back(words->Text("value"));
  } while (condition.test == Condition::Test::kIn && !words->Empty());
  return condition;
}

}  // namespace

void PolicyParser::ReadSticky(LineWords* words) {
  Sticky sticky;
  if (words->Take("sequence")) {
    sticky.key = Sticky::Key::kSequence;
  } else {
    if (words->Take("header")) {
      sticky.key = Sticky::Key::kHeader;
      sticky.name = ReadHeaderName(words);
    } else {
      words->Expect("parameter");
      sticky.key = Sticky::Key::kParameter;
      sticky.name = words->Text("parameter name");
    }
    MustNotBeEmpty(words, sticky.name);
  }
  words->Expect("salt");
  sticky.salt = words->Text("salt");
  sticky.seed = Xxh64(sticky.salt, 0);
  policy_->sticky = std::move(sticky);
}

void PolicyParser::ReadRule(LineWords* words) {
  Rule rule;
  rule.arm = ReadArmIndex(words);
  rule.conditions.push_back(ReadCondition(words));
  policy_->rules.push_back(std::move(rule));
}

void PolicyParser::ReadAnd(LineWords* words) {
  if (policy_->rules.empty()) return words->Fail("'and' stands before any 'rule'");
  policy_->rules.back().conditions.push_back(ReadCondition(words));
}

void PolicyParser::ReadShadow(LineWords* words) {
  ShadowRule shadow;
  shadow.arm = ReadArmIndex(words);
  words->Expect("parts");
  shadow.parts = static_cast<std::uint32_t>(words->Number("share", 0, kSlots));
  words->Expect("max_in_flight");
  shadow.max_in_flight = static_cast<std::uint32_t>(words->Number("limit", 1, kMaxInFlight));
  if (words->Take("compare")) {
    shadow.compare = words->Text("output name");
    MustNotBeEmpty(words, shadow.compare);
  }
  for (const ShadowRule& other : policy_->shadows) {
    if (other.arm == shadow.arm) return words->Fail("a second shadow of one arm");
  }
  policy_->shadows.push_back(std::move(shadow));
}

void PolicyParser::ReadConfidence(LineWords* words) {
  ConfidenceRule rule;
  rule.output = words->Text("output name");
  MustNotBeEmpty(words, rule.output);
  words->Expect("scores");
  if (words->Take("logits")) {
    rule.scores = ConfidenceRule::Scores::kLogits;
  } else {
    words->Expect("probabilities");
  }
  policy_->confidence = std::move(rule);
}

}  // namespace nereid
