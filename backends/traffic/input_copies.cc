#include "input_copies.h"

#include <atomic>

#include "device_copy.h"

namespace nereid {
namespace {

constexpr std::size_t kMostBytes = std::size_t{256} << 20;
std::atomic<std::size_t> held_bytes{0};

}  // namespace

InputCopies::Taken InputCopies::Reserve(std::size_t size) noexcept {
  if (held_bytes.fetch_add(size, std::memory_order_relaxed) + size > kMostBytes) {
    held_bytes.fetch_sub(size, std::memory_order_relaxed);
    return Taken::kFull;
  }
  // One byte at least: tensors without elements have an address too.
  block_.reset(static_cast<char*>(std::malloc(size + 1)));
  if (!block_) {
    held_bytes.fetch_sub(size, std::memory_order_relaxed);
    return Taken::kFull;
  }
  size_ = size;
  used_ = 0;
  held_ = true;
  return Taken::kYes;
}

Error InputCopies::Append(
    const void* source, std::size_t size, TRITONSERVER_MemoryType memory, const void** copied) {
  if (size > size_ - used_) {
    return MakeError(TRITONSERVER_ERROR_INTERNAL, "an input grew while it was copied");
  }
  char* target = block_.get() + used_;
  if (Error error = CopyBytes(target, TRITONSERVER_MEMORY_CPU, source, memory, size)) return error;
  used_ += size;
  *copied = target;
  return nullptr;
}

void InputCopies::Clear() noexcept {
  if (!held_) return;
  block_.reset();
  held_bytes.fetch_sub(size_, std::memory_order_relaxed);
  held_ = false;
}

}  // namespace nereid
