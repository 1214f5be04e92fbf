// Sends one request on to an arm and its responses back to the caller.
#pragma once

#include "check.h"
#include "router.h"

namespace nereid {

// What Forward() needs of Triton to hold an arm's outputs until they are copied to the caller's.
Error NewAllocator(TRITONSERVER_ResponseAllocator** allocator);

// Takes `request` over, whatever happens: the caller of the endpoint is answered, then the request
// is released. Returns at once; the arm answers from another thread.
void Forward(Router* router, TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request);

}  // namespace nereid
