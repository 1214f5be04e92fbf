// What an arm answered, given back to the caller unchanged.
#pragma once

#include "check.h"

namespace nereid {

// Fills `outer` with the outputs and parameters of `inner`, and names the arm in the parameter
// `nereid_arm`.
Error CopyResponse(
    TRITONSERVER_InferenceResponse* inner, TRITONBACKEND_Response* outer, const char* arm);

}  // namespace nereid
