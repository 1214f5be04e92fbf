// Copies of a caller's input tensors, for attempts that may outlive the caller's request.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "check.h"

namespace nereid {

// One block that holds all inputs of one request, one after the other. All blocks together are
// bounded.
class InputCopies {
 public:
  InputCopies() = default;
  InputCopies(const InputCopies&) = delete;
  InputCopies& operator=(const InputCopies&) = delete;
  ~InputCopies() { Clear(); }

  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // of all blocks

  // Copies the inputs of the request. Not `held` afterwards: they are more than `most`, or there was
  // no room.
  Error Take(TRITONBACKEND_Request* outer, std::size_t most = kMostBytes);

  bool held() const noexcept { return held_; }
  const char* data() const noexcept { return block_.get(); }
  void Clear() noexcept;

 private:
  bool Reserve(std::size_t size) noexcept;

  struct Freed {
    void operator()(char* block) const { std::free(block); }
  };
  std::unique_ptr<char, Freed> block_;
  std::size_t size_ = 0;
  bool held_ = false;
};

}  // namespace nereid
