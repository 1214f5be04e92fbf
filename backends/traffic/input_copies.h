// Copies of a caller's input tensors, for attempts that may outlive the caller's request.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "check.h"

namespace nereid {

// One block that holds all inputs of one request. All blocks together are bounded: a request that
// would exceed the bound is not copied, and its caller is told so by kFull.
class InputCopies {
 public:
  enum class Taken { kYes, kFull };

  InputCopies() = default;
  InputCopies(const InputCopies&) = delete;
  InputCopies& operator=(const InputCopies&) = delete;
  ~InputCopies() { Clear(); }

  // Makes room for `size` bytes.
  Taken Reserve(std::size_t size) noexcept;

  // Copies the next `size` bytes in; the address they have from now on.
  Error Append(
      const void* source, std::size_t size, TRITONSERVER_MemoryType memory, const void** copied);

  bool held() const noexcept { return held_; }
  void Clear() noexcept;

 private:
  struct Freed {
    void operator()(char* block) const { std::free(block); }
  };
  std::unique_ptr<char, Freed> block_;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
  bool held_ = false;
};

}  // namespace nereid
