// One output of an arm's response, where it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "check.h"

namespace nereid {

// What the response's memory holds; it goes with the response.
struct ResponseOutput {
  int datatype = 0;
  const std::int64_t* shape = nullptr;
  std::uint64_t dims = 0;
  const void* base = nullptr;
  std::size_t bytes = 0;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
};

// False where the response has no output of that name.
bool FindOutput(
    TRITONSERVER_InferenceResponse* response, const std::string& name, ResponseOutput* found);

}  // namespace nereid
