// A policy written out again, for tests of what was read. Free of Triton.
#pragma once

#include <string>

#include "policy.h"

namespace nereid {

// All values of the policy as one JSON object, the names as in policy.h; bytes beyond ASCII in texts
// stand as they are.
std::string Describe(const Policy& policy);

}  // namespace nereid
