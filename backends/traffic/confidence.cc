#include "confidence.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace nereid {
namespace {

constexpr double kOddsRatio = 1.2;
constexpr int kFirstEdge = -38;
constexpr int kLastEdge = 50;
constexpr double kEdgeDigits = 1e6;

// Some arms have their probabilities from whole numbers, which add up to 1 nearly.
constexpr double kMostProbability = 1.01;

// 0 for what is none, NaN among them.
double Probability(double value) {
  if (!(value >= 0 && value <= kMostProbability)) return 0;
  return std::min(value, 1.0);
}

double OfPair(double probability) {
  const bool none = !(probability >= 0 && probability <= kMostProbability);
  return none ? 0 : Probability(std::max(probability, 1 - probability));
}

template <typename Kind>
double RowOf(const void* data, std::uint64_t start, std::uint64_t width, bool logits) {
  auto top = At<Kind>(data, start);
  if (width == 1) return OfPair(logits ? 1 / (1 + std::exp(-static_cast<double>(top))) : top);
  bool nan = std::isnan(top);
  for (std::uint64_t i = start + 1; i < start + width; ++i) {
    const auto value = At<Kind>(data, i);
    nan = nan || std::isnan(value);
    if (value > top) top = value;
  }
  if (nan) return 0;
  if (!logits) return Probability(top);
  // The softmax of the largest: 1 / sum of e^(x - largest), which no logit is too large for.
  double sum = 0;
  for (std::uint64_t i = start; i < start + width; ++i) sum += std::exp(At<Kind>(data, i) - top);
  return Probability(1 / sum);
}

template <typename Kind>
double MeanOf(const void* data, std::uint64_t rows, std::uint64_t width, bool logits) {
  double sum = 0;
  for (std::uint64_t row = 0; row < rows; ++row) sum += RowOf<Kind>(data, row * width, width, logits);
  return sum / static_cast<double>(rows);
}

}  // namespace

std::optional<double> ConfidenceOf(
    const TensorView& output, ConfidenceRule::Scores scores) noexcept {
  const std::size_t element = SizeOf(output.datatype);
  std::uint64_t elements = 0;
  if (element == 0 || output.dims == 0 || !Fits(output, element, &elements) || elements == 0) {
    return std::nullopt;
  }
  const auto width = static_cast<std::uint64_t>(output.shape[output.dims - 1]);
  const std::uint64_t rows = elements / width;
  const bool logits = scores == ConfidenceRule::Scores::kLogits;
  switch (output.datatype) {
    case kFp16: return MeanOf<Half>(output.data, rows, width, logits);
    case kBf16: return MeanOf<Brain>(output.data, rows, width, logits);
    case kFp32: return MeanOf<Plain<float>>(output.data, rows, width, logits);
    case kFp64: return MeanOf<Plain<double>>(output.data, rows, width, logits);
    default: return std::nullopt;
  }
}

std::vector<double> ConfidenceEdges() {
  std::vector<double> edges;
  for (int step = kFirstEdge; step <= kLastEdge; ++step) {
    const double odds = std::pow(kOddsRatio, step);
    edges.push_back(std::round(odds / (1 + odds) * kEdgeDigits) / kEdgeDigits);
  }
  return edges;
}

}  // namespace nereid
