// What is read of the answers themselves, where the policy asks for it.
#pragma once

#include "call.h"

namespace nereid {

// Counts how sure an answer is, once for a request: by the first response that has the output, of
// the arm that the policy chose. Call it when the caller has the response: it takes its time.
void ObserveConfidence(Attempt* attempt, TRITONSERVER_InferenceResponse* response);

}  // namespace nereid
