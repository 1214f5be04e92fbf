#include "observe.h"

#include <optional>
#include <vector>

#include "confidence.h"
#include "device_copy.h"
#include "response_output.h"

namespace nereid {
namespace {

// The arm's thread reads it: a quarter of a million numbers take about a millisecond.
constexpr std::size_t kMostReadBytes = std::size_t{1} << 20;

std::optional<double> Read(
    const ConfidenceRule& rule, TRITONSERVER_InferenceResponse* response) {
  ResponseOutput output;
  if (!FindOutput(response, rule.output, &output) || output.bytes > kMostReadBytes) {
    return std::nullopt;
  }
  TensorView view{output.datatype, output.shape, output.dims, output.base, output.bytes};
  std::vector<char> copied;
  if (output.memory == TRITONSERVER_MEMORY_GPU) {
    copied.resize(output.bytes);
    if (Error error = CopyBytes(
            copied.data(), TRITONSERVER_MEMORY_CPU, output.base, output.memory, output.bytes)) {
      return std::nullopt;
    }
    view.data = copied.data();
  }
  return ConfidenceOf(view, rule.scores);
}

}  // namespace

void ObserveConfidence(Attempt* attempt, TRITONSERVER_InferenceResponse* response) {
  const std::optional<ConfidenceRule>& rule = attempt->call->router->policy.confidence;
  // A rescue is the primary's answer to what was too much for another: not its share of requests.
  if (!rule || attempt != &attempt->call->first || attempt->confidence_read.load()) return;
  if (attempt->outcome.load() != Outcome::kOk) return;  // the caller was told of an error
  const std::optional<double> confidence = Read(*rule, response);
  if (!confidence || attempt->confidence_read.exchange(true)) return;
  attempt->arm->metrics->Confident(*confidence);
}

}  // namespace nereid
