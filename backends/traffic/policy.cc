#include "policy.h"

#include <algorithm>
#include <limits>

#include "parse_policy.h"

namespace nereid {
namespace {

constexpr std::string_view kHeader = "nereid-traffic 1";

}  // namespace

const PolicyParser::Keyword PolicyParser::kKeywords[] = {
    {"endpoint", 1, false, &PolicyParser::ReadEndpoint},
    {"generation", 2, false, &PolicyParser::ReadGeneration},
    {"arm", 3, true, &PolicyParser::ReadArm},
    {"allowance", 4, true, &PolicyParser::ReadAllowance},
    {"slots", 5, false, &PolicyParser::ReadSlots},
    {"sticky", 6, false, &PolicyParser::ReadSticky},
    {"rule", 7, true, &PolicyParser::ReadRule},
    {"and", 7, true, &PolicyParser::ReadAnd},
    {"shadow", 8, true, &PolicyParser::ReadShadow},
    {"confidence", 9, false, &PolicyParser::ReadConfidence},
    {"breaker", 10, false, &PolicyParser::ReadBreaker},
    {"slow_start", 11, false, &PolicyParser::ReadSlowStart},
    {"rescue", 12, false, &PolicyParser::ReadRescue},
    {"objective", 13, false, &PolicyParser::ReadObjective},
    {"sequences", 14, false, &PolicyParser::ReadSequences},
};

bool PolicyParser::Parse(std::string_view text) {
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::size_t start = 0;
  while (true) {
    const std::size_t end = text.find('\n', start);
    ++line_;
    if (!ParseLine(text.substr(start, end - start))) return false;
    if (end == std::string_view::npos) break;
    start = end + 1;
  }
  return CheckComplete() && CheckOverflow();
}

bool PolicyParser::Fail(std::string reason) {
  error_->line = line_;
  error_->reason = std::move(reason);
  return false;
}

bool PolicyParser::ParseLine(std::string_view line) {
  if (line_ == 1) {
    if (line == kHeader) return true;
    return Fail("the first line must be " + Quoted(kHeader) + ", not " + Quoted(line));
  }
  LineWords words(line);
  if (words.failed()) return Fail(words.reason());
  const auto* keyword =
      std::find_if(std::begin(kKeywords), std::end(kKeywords), [&](const Keyword& known) {
        return known.name == words.keyword();
      });
  if (keyword == std::end(kKeywords)) return Fail("unknown keyword " + Quoted(words.keyword()));
  if (!InItsPlace(*keyword)) return false;
  (this->*keyword->read)(&words);
  return words.Done() || Fail(words.reason());
}

bool PolicyParser::InItsPlace(const Keyword& keyword) {
  if (!keyword.many && std::find(seen_.begin(), seen_.end(), keyword.name) != seen_.end()) {
    return Fail(Quoted(keyword.name) + " stands twice");
  }
  if (last_ != nullptr && keyword.rank < last_->rank) {
    return Fail(Quoted(keyword.name) + " stands after " + Quoted(last_->name));
  }
  if (policy_->arms.empty() && keyword.rank > 3) {
    return Fail(Quoted(keyword.name) + " stands before any 'arm'");
  }
  seen_.push_back(keyword.name);
  last_ = &keyword;
  return true;
}

void PolicyParser::ReadEndpoint(LineWords* words) {
  const std::string_view name = words->Next("a name");
  if (!words->failed() && !IsPublicName(name)) words->Fail(Quoted(name) + " is no endpoint name");
  policy_->endpoint = name;
}

void PolicyParser::ReadGeneration(LineWords* words) {
  policy_->generation =
      words->Number("generation number", 0, std::numeric_limits<std::int64_t>::max());
}

bool PolicyParser::CheckComplete() {
  for (const std::string_view needed : {"endpoint", "generation", "arm", "slots"}) {
    if (std::find(seen_.begin(), seen_.end(), needed) == seen_.end()) {
      return Fail(Quoted(needed) + " is missing");
    }
  }
  if (!has_primary_) return Fail("no arm is marked primary");
  for (const Arm& arm : policy_->arms) {
    if (arm.model == policy_->endpoint) {
      return Fail("arm " + Quoted(arm.model) + " is the endpoint itself: it would call itself");
    }
  }
  if (policy_->arms[policy_->primary].allowance) return Fail("the primary has an allowance");
  return true;
}

bool PolicyParser::CheckOverflow() {
  for (std::size_t i = 0; i < policy_->arms.size(); ++i) {
    int& overflow = policy_->arms[i].overflow;
    if (overflow == kOverflowDefault) {
      overflow = i == policy_->primary ? kOverflowReject : static_cast<int>(policy_->primary);
    }
    if (overflow == static_cast<int>(i) || overflow >= static_cast<int>(policy_->arms.size())) {
      line_ = arm_lines_[i];
      return Fail("overflow goes to another arm: here is none with the index " +
                  std::to_string(overflow));
    }
  }
  return true;
}

bool ParsePolicy(std::string_view text, Policy* policy, PolicyError* error) {
  *policy = Policy{};
  return PolicyParser(policy, error).Parse(text);
}

}  // namespace nereid
