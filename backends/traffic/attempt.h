// The life of one attempt: submitted, answered or lost, and a lost one replayed on the primary.
#pragma once

#include "call.h"

namespace nereid {

// What an arm's outputs are held in until they are copied to the caller's.
Error NewAllocator(TRITONSERVER_ResponseAllocator** allocator);

// Sends the call's request to the arm, which has been counted in (ArmState::TryBegin). Returns at
// once. Whatever happens, the caller is answered. `timeout_us` 0: the arm may take its time.
void Begin(Attempt* attempt, std::shared_ptr<ArmRecord> arm, std::uint64_t timeout_us, bool probe);

// The arm's time is up.
void TimedOut(Attempt* attempt);

}  // namespace nereid
