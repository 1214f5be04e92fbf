// How much of its share an arm gets while it warms up. Free of Triton.
#pragma once

#include <cstdint>

#include "policy.h"

namespace nereid {

// max(0.10, (t / window)^(1 / aggression)), and 1 from the window's end on: Envoy's slow start.
double RampShare(const SlowStartRule& rule, std::uint64_t elapsed_ns) noexcept;

}  // namespace nereid
