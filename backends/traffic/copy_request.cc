#include "copy_request.h"

namespace nereid {
namespace {

Error CopyIdentity(TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner) {
  const char* id = nullptr;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestId(outer, &id));
  if (id != nullptr && *id != '\0') {
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetId(inner, id));
  }

  std::uint64_t number = 0;
  if (Error not_a_number{TRITONBACKEND_RequestCorrelationId(outer, &number)}) {
    const char* text = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestCorrelationIdString(outer, &text));
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetCorrelationIdString(inner, text));
  } else if (number != 0) {
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetCorrelationId(inner, number));
  }
  return nullptr;
}

Error CopyScheduling(
    TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner, std::uint64_t timeout_us) {
  std::uint32_t flags = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestFlags(outer, &flags));
  if (flags != 0) NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetFlags(inner, flags));

  if (timeout_us != 0) {
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetTimeoutMicroseconds(inner, timeout_us));
  }

  // The backend interface has no getter for the priority, the server interface has one; in every
  // release so far both handles are the address of the same core object.
  std::uint64_t priority = 0;
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestPriorityUInt64(
      reinterpret_cast<TRITONSERVER_InferenceRequest*>(outer), &priority));
  if (priority != 0) {
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetPriorityUInt64(inner, priority));
  }
  return nullptr;
}

Error CopyParameters(TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner) {
  std::uint32_t count = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestParameterCount(outer, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* key = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* value = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestParameter(outer, i, &key, &type, &value));
    TRITONSERVER_Error* error = nullptr;
    switch (type) {
      case TRITONSERVER_PARAMETER_STRING:
        error = TRITONSERVER_InferenceRequestSetStringParameter(
            inner, key, static_cast<const char*>(value));
        break;
      case TRITONSERVER_PARAMETER_INT:
        error = TRITONSERVER_InferenceRequestSetIntParameter(
            inner, key, *static_cast<const std::int64_t*>(value));
        break;
      case TRITONSERVER_PARAMETER_BOOL:
        error = TRITONSERVER_InferenceRequestSetBoolParameter(
            inner, key, *static_cast<const bool*>(value));
        break;
      case TRITONSERVER_PARAMETER_DOUBLE:
        error = TRITONSERVER_InferenceRequestSetDoubleParameter(
            inner, key, *static_cast<const double*>(value));
        break;
      default:
        return MakeError(
            TRITONSERVER_ERROR_UNSUPPORTED,
            std::string("the type of parameter '") + key + "' cannot be passed on to an arm");
    }
    NEREID_RETURN_IF_ERROR(error);
  }
  return nullptr;
}

Error AppendBuffers(
    TRITONBACKEND_Input* input, const char* name, std::uint32_t count,
    TRITONSERVER_InferenceRequest* inner) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const void* buffer = nullptr;
    std::uint64_t size = 0;
    TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
    std::int64_t memory_id = 0;
    NEREID_RETURN_IF_ERROR(
        TRITONBACKEND_InputBuffer(input, i, &buffer, &size, &memory, &memory_id));
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestAppendInputData(
        inner, name, buffer, size, memory, memory_id));
  }
  return nullptr;
}

// `*copied` (where it is not null) is moved on to the next input.
Error CopyInput(
    TRITONBACKEND_Input* input, TRITONSERVER_InferenceRequest* inner, const char** copied,
    std::int64_t* first_dimension) {
  const char* name = nullptr;
  TRITONSERVER_DataType type = 0;
  const std::int64_t* shape = nullptr;
  std::uint32_t dim_count = 0;
  std::uint64_t byte_size = 0;
  std::uint32_t buffer_count = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_InputProperties(
      input, &name, &type, &shape, &dim_count, &byte_size, &buffer_count));
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_InferenceRequestAddInput(inner, name, type, shape, dim_count));
  if (dim_count > 0) *first_dimension = shape[0];
  if (*copied == nullptr) return AppendBuffers(input, name, buffer_count, inner);
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestAppendInputData(
      inner, name, *copied, byte_size, TRITONSERVER_MEMORY_CPU, 0));
  *copied += byte_size;
  return nullptr;
}

}  // namespace

Error CopyRequest(
    TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner, std::uint64_t timeout_us,
    const char* copied, std::uint64_t* batch_size) {
  if (Error error = CopyIdentity(outer, inner)) return error;
  if (Error error = CopyScheduling(outer, inner, timeout_us)) return error;
  if (Error error = CopyParameters(outer, inner)) return error;

  std::uint32_t inputs = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputCount(outer, &inputs));
  if (batch_size != nullptr) *batch_size = 1;
  for (std::uint32_t i = 0; i < inputs; ++i) {
    TRITONBACKEND_Input* input = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputByIndex(outer, i, &input));
    std::int64_t first_dimension = 1;
    if (Error error = CopyInput(input, inner, &copied, &first_dimension)) return error;
    if (i == 0 && first_dimension > 0 && batch_size != nullptr) {
      *batch_size = static_cast<std::uint64_t>(first_dimension);
    }
  }

  std::uint32_t outputs = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestOutputCount(outer, &outputs));
  for (std::uint32_t i = 0; i < outputs; ++i) {
    const char* name = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestOutputName(outer, i, &name));
    NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestAddRequestedOutput(inner, name));
  }
  return nullptr;
}

}  // namespace nereid
