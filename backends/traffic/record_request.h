// A caller's request in its endpoint's recording, where there is one.
#pragma once

#include "abi.h"
#include "recorder.h"

namespace nereid {

// Keeps a copy of the inputs where the endpoint is being recorded and the request is one of those
// that are. It costs a copy of the inputs, of no more bytes altogether than the recording takes; the
// file is written elsewhere. On the request's own thread, before it was submitted: its buffers are
// its caller's again with the answer (docs/decisions/0015).
void RecordRequest(const RecordingPlace& place, TRITONBACKEND_Request* request) noexcept;

}  // namespace nereid
