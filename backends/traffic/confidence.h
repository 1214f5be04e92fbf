// How sure an answer is: the probability of its likeliest class. Free of Triton.
#pragma once

#include <optional>
#include <vector>

#include "policy.h"
#include "tensor_view.h"

namespace nereid {

// The mean over the rows of the largest probability of each, 0 to 1. The last dimension are the
// classes; one class alone is that of a pair, and the other's probability is the rest. A row that
// has no probabilities (NaN, below 0, above 1) counts as 0. Nothing where there is no row, or no
// floating-point number.
std::optional<double> ConfidenceOf(const TensorView& output, ConfidenceRule::Scores scores) noexcept;

// The upper edges of the buckets that confidences are counted in: odds from 1:1000 to 9100:1, each
// 1.2 times the one before, so that 0.1 % and 99.9 % are told from their neighbours as well as the
// middle is.
std::vector<double> ConfidenceEdges();

}  // namespace nereid
