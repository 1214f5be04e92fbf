// Sends one request on to the arm that the policy, or its sequence, says.
#pragma once

#include <memory>

#include "router.h"
#include "server_thread.h"

namespace nereid {

// Takes `request` over, whatever happens: the caller of the endpoint is answered, then the request
// is released. Returns at once; the arm answers from another thread. All that could throw is a lack
// of memory, and that ends the process: nobody could be answered any more.
void Forward(
    std::shared_ptr<Router> router, TRITONBACKEND_ModelInstance* instance,
    TRITONBACKEND_Request* request, const Doing& doing) noexcept;

}  // namespace nereid
