#include "input_copies.h"

#include <atomic>

#include "device_copy.h"

namespace nereid {
namespace {

std::atomic<std::size_t> held_bytes{0};

Error InputBytes(TRITONBACKEND_Request* outer, std::uint32_t inputs, std::uint64_t* bytes) {
  *bytes = 0;
  for (std::uint32_t i = 0; i < inputs; ++i) {
    TRITONBACKEND_Input* input = nullptr;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputByIndex(outer, i, &input));
    std::uint64_t size = 0;
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_InputProperties(
        input, nullptr, nullptr, nullptr, nullptr, &size, nullptr));
    *bytes += size;
  }
  return nullptr;
}

// Appends one input's buffers at `*at`, and moves it on; never to or beyond `end`.
Error CopyInput(TRITONBACKEND_Input* input, char** at, const char* end) {
  std::uint32_t buffers = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_InputProperties(
      input, nullptr, nullptr, nullptr, nullptr, nullptr, &buffers));
  for (std::uint32_t i = 0; i < buffers; ++i) {
    const void* buffer = nullptr;
    std::uint64_t size = 0;
    TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
    std::int64_t memory_id = 0;
    NEREID_RETURN_IF_ERROR(
        TRITONBACKEND_InputBuffer(input, i, &buffer, &size, &memory, &memory_id));
    if (size > static_cast<std::uint64_t>(end - *at)) {
      return MakeError(
          TRITONSERVER_ERROR_INTERNAL, "an input's buffers hold more than its size says");
    }
    if (Error error = CopyBytes(*at, TRITONSERVER_MEMORY_CPU, buffer, memory, size)) return error;
    *at += size;
  }
  return nullptr;
}

}  // namespace

bool InputCopies::Reserve(std::size_t size) noexcept {
  if (held_bytes.fetch_add(size, std::memory_order_relaxed) + size > kMostBytes) {
    held_bytes.fetch_sub(size, std::memory_order_relaxed);
    return false;
  }
  // One byte at least: tensors without elements have an address too.
  block_.reset(static_cast<char*>(std::malloc(size + 1)));
  if (!block_) {
    held_bytes.fetch_sub(size, std::memory_order_relaxed);
    return false;
  }
  size_ = size;
  held_ = true;
  return true;
}

Error InputCopies::Take(TRITONBACKEND_Request* outer, std::size_t most) {
  std::uint32_t inputs = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputCount(outer, &inputs));
  std::uint64_t bytes = 0;
  if (Error error = InputBytes(outer, inputs, &bytes)) return error;
  if (bytes > most || !Reserve(bytes)) return nullptr;
  char* at = block_.get();
  for (std::uint32_t i = 0; i < inputs; ++i) {
    TRITONBACKEND_Input* input = nullptr;
    Error error{TRITONBACKEND_RequestInputByIndex(outer, i, &input)};
    if (!error) error = CopyInput(input, &at, block_.get() + bytes);
    if (error) {
      Clear();
      return error;
    }
  }
  return nullptr;
}

void InputCopies::Clear() noexcept {
  if (!held_) return;
  block_.reset();
  held_bytes.fetch_sub(size_, std::memory_order_relaxed);
  held_ = false;
}

}  // namespace nereid
