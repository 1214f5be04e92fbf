// What a caller asked, given on to an arm unchanged.
#pragma once

#include <cstdint>

#include "check.h"
#include "input_copies.h"

namespace nereid {

// Fills `inner` from `outer`. Input buffers are passed on, not copied, and `outer` must live until
// `inner` was released; unless `copies` holds room for them, then `inner` reads those. `timeout_us`
// is what the caller still allows, 0 for no bound. `batch_size` (may be null) becomes the first
// dimension of the first input, or 1.
Error CopyRequest(
    TRITONBACKEND_Request* outer, TRITONSERVER_InferenceRequest* inner, std::uint64_t timeout_us,
    InputCopies* copies, std::uint64_t* batch_size);

// The bytes of all inputs together.
Error InputBytes(TRITONBACKEND_Request* outer, std::uint64_t* bytes);

}  // namespace nereid
