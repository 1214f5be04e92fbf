// One loaded router version: its policy and what it needs to send requests on.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "abi.h"
#include "metrics.h"
#include "picker.h"
#include "policy.h"

namespace nereid {

struct Router {
  Router(Policy read, std::uint64_t seed)
      : policy(std::move(read)), picker(policy.slots, seed) {}

  Policy policy;
  Picker picker;
  std::vector<std::shared_ptr<ArmMetrics>> metrics;  // one for each arm
  TRITONSERVER_Server* server = nullptr;
  TRITONSERVER_ResponseAllocator* allocator = nullptr;
  bool batched = false;
  bool decoupled = false;
};

}  // namespace nereid
