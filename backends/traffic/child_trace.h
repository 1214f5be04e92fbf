// The caller's trace, continued by an arm.
#pragma once

#include "abi.h"

namespace nereid {

// A child of the trace that the server keeps of `outer`; null where it keeps none. It belongs to the
// next TRITONSERVER_ServerInferAsync, which takes it over also where it fails, and `outer` may be
// released no sooner than after that call: a child that has begun keeps alive what it shares with
// its parent, one that has not does not.
TRITONSERVER_InferenceTrace* ChildTrace(TRITONBACKEND_Request* outer);

}  // namespace nereid
