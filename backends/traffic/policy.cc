#include "policy.h"

#include <algorithm>
#include <limits>

namespace nereid {
namespace {

constexpr std::string_view kHeader = "nereid-traffic 1";
constexpr std::size_t kMaxPublicName = 63;
constexpr std::size_t kMaxPhysicalName = 200;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsPublicName(std::string_view name) {
  if (name.empty() || name.size() > kMaxPublicName) return false;
  if (!IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return IsLowerOrDigit(c) || c == '_' || c == '-';
  });
}

bool IsPhysicalName(std::string_view name) {
  if (name.empty() || name.size() > kMaxPhysicalName || !IsLowerOrDigit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return IsLowerOrDigit(c) || c == '_' || c == '-' || c == '.';
  });
}

bool ParseNumber(std::string_view text, std::uint64_t limit, std::uint64_t* value) {
  if (text.empty()) return false;
  std::uint64_t result = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    const std::uint64_t digit = static_cast<std::uint64_t>(c - '0');
    if (digit > limit || result > (limit - digit) / 10) return false;
    result = result * 10 + digit;
  }
  *value = result;
  return true;
}

// What stands in an error message: whole, but short and printable whatever the file holds.
std::string Quoted(std::string_view text) {
  std::string shown = "'";
  for (char c : text.substr(0, 60)) shown += (c >= ' ' && c <= '~') ? c : '?';
  return shown + (text.size() > 60 ? "...'" : "'");
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = line.find(' ', start);
    words.push_back(line.substr(start, end - start));
    if (end == std::string_view::npos) return words;
    start = end + 1;
  }
}

class Parser {
 public:
  Parser(Policy* policy, PolicyError* error) : policy_(policy), error_(error) {}

  bool Parse(std::string_view text) {
    if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    std::size_t start = 0;
    while (true) {
      const std::size_t end = text.find('\n', start);
      ++line_;
      if (!ParseLine(text.substr(start, end - start))) return false;
      if (end == std::string_view::npos) break;
      start = end + 1;
    }
    return CheckComplete();
  }

 private:
  bool Fail(std::string reason) {
    error_->line = line_;
    error_->reason = std::move(reason);
    return false;
  }

  bool ParseLine(std::string_view line) {
    if (line_ == 1) {
      if (line == kHeader) return true;
      return Fail("the first line must be " + Quoted(kHeader) + ", not " + Quoted(line));
    }
    const std::vector<std::string_view> words = Words(line);
    if (std::any_of(words.begin(), words.end(), [](auto word) { return word.empty(); })) {
      return Fail("words must be separated by one space, and no line may be empty");
    }
    const std::string_view keyword = words[0];
    if (keyword == "endpoint") return ParseEndpoint(words);
    if (keyword == "generation") return ParseGeneration(words);
    if (keyword == "arm") return ParseArm(words);
    if (keyword == "slots") return ParseSlots(words);
    return Fail("unknown keyword " + Quoted(keyword));
  }

  bool ParseEndpoint(const std::vector<std::string_view>& words) {
    if (!policy_->endpoint.empty()) return Fail("'endpoint' stands twice");
    if (words.size() != 2) return Fail("'endpoint' takes one name");
    if (!IsPublicName(words[1])) return Fail(Quoted(words[1]) + " is no endpoint name");
    policy_->endpoint = words[1];
    return true;
  }

  bool ParseGeneration(const std::vector<std::string_view>& words) {
    if (has_generation_) return Fail("'generation' stands twice");
    if (words.size() != 2) return Fail("'generation' takes one number");
    if (!ParseNumber(words[1], std::numeric_limits<std::int64_t>::max(), &policy_->generation)) {
      return Fail(Quoted(words[1]) + " is no generation number");
    }
    has_generation_ = true;
    return true;
  }

  bool ParseArm(const std::vector<std::string_view>& words) {
    if (!policy_->slots.empty()) return Fail("'arm' stands after 'slots'");
    if (words.size() < 2 || words.size() > 3) return Fail("'arm' takes a model and maybe 'primary'");
    const std::string_view model = words[1];
    if (!IsPhysicalName(model)) return Fail(Quoted(model) + " is no model name");
    if (policy_->arms.size() == kMaxArms) return Fail("more than 64 arms");
    for (const Arm& arm : policy_->arms) {
      if (arm.model == model) return Fail("arm " + Quoted(model) + " stands twice");
    }
    if (words.size() == 3) {
      if (words[2] != "primary") return Fail("unknown word " + Quoted(words[2]) + " after the model");
      if (has_primary_) return Fail("a second arm is marked primary");
      has_primary_ = true;
      policy_->primary = policy_->arms.size();
    }
    policy_->arms.push_back(Arm{std::string(model)});
    return true;
  }

  bool ParseSlots(const std::vector<std::string_view>& words) {
    if (!policy_->slots.empty()) return Fail("'slots' stands twice");
    if (policy_->arms.empty()) return Fail("'slots' stands before any 'arm'");
    std::vector<std::uint8_t> slots;
    slots.reserve(kSlots);
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::size_t colon = words[i].find(':');
      std::uint64_t index = 0;
      std::uint64_t count = 0;
      if (colon == std::string_view::npos || !ParseNumber(words[i].substr(0, colon), 999, &index) ||
          !ParseNumber(words[i].substr(colon + 1), kSlots, &count)) {
        return Fail(Quoted(words[i]) + " is no run of slots '<arm index>:<count up to 10000>'");
      }
      if (index >= policy_->arms.size()) {
        return Fail("run " + Quoted(words[i]) + " names an arm that is not there");
      }
      if (slots.size() + count > kSlots) return Fail("the slots add up to more than 10000");
      slots.insert(slots.end(), count, static_cast<std::uint8_t>(index));
    }
    if (slots.size() != kSlots) {
      return Fail("the slots add up to " + std::to_string(slots.size()) + ", not to 10000");
    }
    policy_->slots = std::move(slots);
    return true;
  }

  bool CheckComplete() {
    if (policy_->endpoint.empty()) return Fail("'endpoint' is missing");
    if (!has_generation_) return Fail("'generation' is missing");
    if (policy_->arms.empty()) return Fail("there is no 'arm'");
    if (!has_primary_) return Fail("no arm is marked primary");
    if (policy_->slots.empty()) return Fail("'slots' is missing");
    for (const Arm& arm : policy_->arms) {
      if (arm.model == policy_->endpoint) {
        return Fail("arm " + Quoted(arm.model) + " is the endpoint itself: it would call itself");
      }
    }
    return true;
  }

  Policy* policy_;
  PolicyError* error_;
  std::size_t line_ = 0;
  bool has_generation_ = false;
  bool has_primary_ = false;
};

}  // namespace

bool ParsePolicy(std::string_view text, Policy* policy, PolicyError* error) {
  *policy = Policy{};
  return Parser(policy, error).Parse(text);
}

}  // namespace nereid
