// Sends one request on to the arm that the policy, or its sequence, says.
#pragma once

#include <memory>

#include "router.h"

namespace nereid {

// Takes `request` over, whatever happens: the caller of the endpoint is answered, then the request
// is released. Returns at once; the arm answers from another thread.
void Forward(
    std::shared_ptr<Router> router, TRITONBACKEND_ModelInstance* instance,
    TRITONBACKEND_Request* request);

}  // namespace nereid
