// What a caller asked, given on to an arm unchanged.
#pragma once

#include <cstdint>

#include "check.h"

namespace nereid {

// Fills `inner` from `outer`. Input buffers are passed on, not copied, and `outer` must live until
// `inner` was released; unless `copied` has all inputs one after the other (InputCopies), then `inner`
// reads those. `timeout_us` is what the caller still allows, 0 for no bound. `batch_size` (may be
// null) becomes the first dimension of the first input, or 1.
Error CopyRequest(
    TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner, std::uint64_t timeout_us,
    const char* copied, std::uint64_t* batch_size);

}  // namespace nereid
