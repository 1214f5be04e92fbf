#include "rules.h"

#include <algorithm>

namespace nereid {
namespace {

bool Holds(const Condition& condition, const Attributes& attributes) noexcept {
  Value value;
  const bool there = condition.source == Condition::Source::kHeader
                         ? attributes.Header(condition.name, &value)
                         : attributes.Parameter(condition.name, &value);
  if (!there) return false;
  if (condition.test == Condition::Test::kPrefix) {
    const std::string& prefix = condition.values.front();
    return value.text.substr(0, prefix.size()) == prefix;
  }
  return std::any_of(
      condition.values.begin(), condition.values.end(),
      [&](const std::string& wanted) { return value.text == wanted; });
}

}  // namespace

int MatchRules(const std::vector<Rule>& rules, const Attributes& attributes) noexcept {
  for (const Rule& rule : rules) {
    if (std::all_of(rule.conditions.begin(), rule.conditions.end(), [&](const Condition& condition) {
          return Holds(condition, attributes);
        })) {
      return static_cast<int>(rule.arm);
    }
  }
  return -1;
}

}  // namespace nereid
