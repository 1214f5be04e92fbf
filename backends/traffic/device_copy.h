// Copying between host and GPU memory, wherever either end lies.
#pragma once

#include <cstddef>

#include "check.h"

namespace nereid {

// Copies `size` bytes; both ends are valid for that. Memory on a GPU is reached through the CUDA
// runtime that the server has loaded: this library is linked against none.
Error CopyBytes(
    void* target, TRITONSERVER_MemoryType target_memory, const void* source,
    TRITONSERVER_MemoryType source_memory, std::size_t size);

}  // namespace nereid
