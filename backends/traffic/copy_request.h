// What a caller asked, given on to an arm unchanged.
#pragma once

#include <cstdint>

#include "check.h"

namespace nereid {

// Fills `inner` from `outer`. Input buffers are passed on, not copied: `outer` must live until
// `inner` was released. `batch_size` is the first dimension of the first input, or 1.
Error CopyRequest(
    TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner, std::uint64_t* batch_size);

}  // namespace nereid
