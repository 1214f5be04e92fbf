// The lines of policy.txt about arms: arm, allowance, slots.

#include "parse_policy.h"

namespace nereid {
namespace {

constexpr std::uint64_t kMaxCount = 1'000'000'000;
constexpr std::uint64_t kMaxMicroseconds = 1'000'000'000'000'000;  // 31 years

}  // namespace

void PolicyParser::ReadArm(LineWords* words) {
  Arm arm;
  const std::string_view model = words->Next("a model");
  if (words->failed()) return;
  if (!IsPhysicalName(model)) return words->Fail(Quoted(model) + " is no model name");
  if (policy_->arms.size() == kMaxArms) return words->Fail("more than 64 arms");
  for (const Arm& other : policy_->arms) {
    if (other.model == model) return words->Fail("arm " + Quoted(model) + " stands twice");
  }
  arm.model = model;
  ReadArmOptions(words, &arm);
  policy_->arms.push_back(std::move(arm));
  arm_lines_.push_back(line_);
}

void PolicyParser::ReadArmOptions(LineWords* words, Arm* arm) {
  if (words->Take("primary")) {
    if (has_primary_) return words->Fail("a second arm is marked primary");
    has_primary_ = true;
    policy_->primary = policy_->arms.size();
  }
  if (words->Take("cost")) arm->cost = words->Decimal("cost");
  if (words->Take("accuracy")) {
    arm->accuracy = words->Decimal("accuracy");
    if (arm->accuracy > 1) words->Fail("accuracy is at most 1");
  }
  if (words->Take("capacity")) {
    arm->capacity = static_cast<std::uint32_t>(words->Number("capacity", 1, kMaxCount));
  }
  if (words->Take("max_in_flight")) {
    arm->max_in_flight = static_cast<std::uint32_t>(words->Number("limit", 1, kMaxCount));
  }
  if (words->Take("overflow")) {
    arm->overflow = words->Take("reject")
                        ? kOverflowReject
                        : static_cast<int>(words->Number("arm index", 0, kMaxArms - 1));
  }
  if (words->Take("timeout_us")) {
    arm->timeout_us = words->Number("timeout", 1, kMaxMicroseconds);
  }
}

std::size_t PolicyParser::ReadArmIndex(LineWords* words) {
  return static_cast<std::size_t>(words->Number("arm index", 0, policy_->arms.size() - 1));
}

void PolicyParser::ReadAllowance(LineWords* words) {
  const std::size_t arm = ReadArmIndex(words);
  Allowance allowance;
  words->Expect("grant");
  allowance.grant = words->Text("grant");
  words->Expect("attempts");
  allowance.attempts = words->Bound("number of attempts");
  words->Expect("failures");
  allowance.failures = words->Bound("number of failures");
  words->Expect("until_ms");
  allowance.until_unix_ms = words->Bound("time");
  if (words->failed()) return;
  if (arm == policy_->primary && has_primary_) return words->Fail("the primary has an allowance");
  if (policy_->arms[arm].allowance) return words->Fail("a second allowance of one arm");
  policy_->arms[arm].allowance = std::move(allowance);
}

void PolicyParser::ReadSlots(LineWords* words) {
  std::vector<std::uint8_t> slots;
  slots.reserve(kSlots);
  while (!words->Empty()) {
    const std::string_view run = words->Next("a run");
    const std::size_t colon = run.find(':');
    std::uint64_t index = 0;
    std::uint64_t count = 0;
    if (colon == std::string_view::npos || !ParseNumber(run.substr(0, colon), 999, &index) ||
        !ParseNumber(run.substr(colon + 1), kSlots, &count)) {
      return words->Fail(Quoted(run) + " is no run of slots '<arm index>:<count up to 10000>'");
    }
    if (index >= policy_->arms.size()) {
      return words->Fail("run " + Quoted(run) + " names an arm that is not there");
    }
    if (slots.size() + count > kSlots) return words->Fail("the slots add up to more than 10000");
    slots.insert(slots.end(), count, static_cast<std::uint8_t>(index));
  }
  if (slots.size() != kSlots) {
    return words->Fail("the slots add up to " + std::to_string(slots.size()) + ", not to 10000");
  }
  policy_->slots = std::move(slots);
}

}  // namespace nereid
