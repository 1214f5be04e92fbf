#include "response_output.h"

namespace nereid {

bool FindOutput(
    TRITONSERVER_InferenceResponse* response, const std::string& name, ResponseOutput* found) {
  std::uint32_t outputs = 0;
  if (Error error{TRITONSERVER_InferenceResponseOutputCount(response, &outputs)}) return false;
  for (std::uint32_t i = 0; i < outputs; ++i) {
    const char* its = nullptr;
    std::int64_t memory_id = 0;
    void* userp = nullptr;
    const Error error{TRITONSERVER_InferenceResponseOutput(
        response, i, &its, &found->datatype, &found->shape, &found->dims, &found->base,
        &found->bytes, &found->memory, &memory_id, &userp)};
    if (!error && name == its) return true;
  }
  return false;
}

}  // namespace nereid
