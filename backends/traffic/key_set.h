// Sticky keys that an arm was heard of, each once. Free of Triton.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace nereid {

// A set of hashes, of fixed size and without a lock. What finds no room is not in it and not
// counted: that has nothing to do with what became of its requests.
class KeySet {
 public:
  static constexpr std::size_t kSize = std::size_t{1} << 15;

  // True for the first call with a key; false when it was there, or has no room.
  bool First(std::uint64_t key) noexcept;

 private:
  static constexpr std::size_t kProbes = 16;

  std::array<std::atomic<std::uint64_t>, kSize> keys_{};  // 0: free
};

}  // namespace nereid
