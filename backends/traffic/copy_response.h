// What an arm answered, given back to the caller.
#pragma once

#include "check.h"

namespace nereid {

// Fills `outer` with the outputs and parameters of `inner`, and names the arm in the parameter
// `nereid_arm`. Parameters of `inner` whose names begin with `nereid_` are left out: no model can
// claim to be another one.
Error CopyResponse(
    TRITONSERVER_InferenceResponse* inner, TRITONBACKEND_Response* outer, const char* arm);

}  // namespace nereid
