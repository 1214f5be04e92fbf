// Which rule of a policy a request meets. Free of Triton.
#pragma once

#include <vector>

#include "attributes.h"
#include "policy.h"

namespace nereid {

// The arm of the first rule all of whose conditions hold, or -1. An absent value meets no condition.
int MatchRules(const std::vector<Rule>& rules, const Attributes& attributes) noexcept;

}  // namespace nereid
