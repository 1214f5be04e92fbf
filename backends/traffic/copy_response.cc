#include "copy_response.h"

#include <string_view>

#include "device_copy.h"

namespace nereid {
namespace {

// What is called so in an answer is said by the router alone.
bool IsRouters(std::string_view name) {
  constexpr std::string_view kOurs = "nereid_";
  return name.substr(0, kOurs.size()) == kOurs;
}

Error CopyParameters(TRITONSERVER_InferenceResponse* inner, TRITONBACKEND_Response* outer) {
  std::uint32_t count = 0;
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceResponseParameterCount(inner, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* value = nullptr;
    NEREID_RETURN_IF_ERROR(
        TRITONSERVER_InferenceResponseParameter(inner, i, &name, &type, &value));
    if (IsRouters(name)) continue;
    TRITONSERVER_Error* error = nullptr;
    switch (type) {
      case TRITONSERVER_PARAMETER_STRING:
        error = TRITONBACKEND_ResponseSetStringParameter(
            outer, name, static_cast<const char*>(value));
        break;
      case TRITONSERVER_PARAMETER_INT:
        error = TRITONBACKEND_ResponseSetIntParameter(
            outer, name, *static_cast<const std::int64_t*>(value));
        break;
      case TRITONSERVER_PARAMETER_BOOL:
        error = TRITONBACKEND_ResponseSetBoolParameter(
            outer, name, *static_cast<const bool*>(value));
        break;
      case TRITONSERVER_PARAMETER_DOUBLE:
        error = TRITONBACKEND_ResponseSetDoubleParameter(
            outer, name, *static_cast<const double*>(value));
        break;
      default:
        return MakeError(
            TRITONSERVER_ERROR_UNSUPPORTED,
            std::string("the type of response parameter '") + name + "' cannot be passed on");
    }
    NEREID_RETURN_IF_ERROR(error);
  }
  return nullptr;
}

Error CopyOutput(TRITONSERVER_InferenceResponse* inner, std::uint32_t index,
                 TRITONBACKEND_Response* outer) {
  const char* name = nullptr;
  TRITONSERVER_DataType type = 0;
  const std::int64_t* shape = nullptr;
  std::uint64_t dim_count = 0;
  const void* source = nullptr;
  std::size_t byte_size = 0;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t memory_id = 0;
  void* userp = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceResponseOutput(
      inner, index, &name, &type, &shape, &dim_count, &source, &byte_size, &memory, &memory_id,
      &userp));

  TRITONBACKEND_Output* output = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ResponseOutput(
      outer, &output, name, type, shape, static_cast<std::uint32_t>(dim_count)));
  void* target = nullptr;
  TRITONSERVER_MemoryType target_memory = TRITONSERVER_MEMORY_CPU;
  std::int64_t target_memory_id = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_OutputBuffer(
      output, &target, byte_size, &target_memory, &target_memory_id));
  return CopyBytes(target, target_memory, source, memory, byte_size);
}

}  // namespace

Error CopyResponse(
    TRITONSERVER_InferenceResponse* inner, TRITONBACKEND_Response* outer, const char* arm) {
  std::uint32_t outputs = 0;
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceResponseOutputCount(inner, &outputs));
  for (std::uint32_t i = 0; i < outputs; ++i) {
    if (Error error = CopyOutput(inner, i, outer)) return error;
  }
  if (Error error = CopyParameters(inner, outer)) return error;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_ResponseSetStringParameter(outer, "nereid_arm", arm));
  return nullptr;
}

}  // namespace nereid
