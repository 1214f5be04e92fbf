// Which target each live sequence is bound to. Free of Triton.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace nereid {

// Only requests of sequences come here: 16 shards with a lock each, so that two sequences hardly ever
// meet. A target is let go of outside of the locks: it may be the last hold on something large.
class SequencePins {
 public:
  using Target = std::shared_ptr<void>;

  // The sequence's target, and the pin is as good as new; null when there is none or it has expired.
  Target Find(std::string_view key, std::uint64_t now_ns);

  // Binds the sequence, also anew, until it has been idle for more than `idle_ns`: not asked for, and
  // the target, which is this sequence's alone, held by nobody else.
  void Pin(std::string_view key, Target target, std::uint64_t now_ns, std::uint64_t idle_ns);

  void Unpin(std::string_view key);

  // Drops what expired; how many.
  std::size_t Expire(std::uint64_t now_ns);

  std::size_t size() const;

 private:
  static constexpr std::size_t kShards = 16;

  struct Entry {
    Target target;
    std::uint64_t used_ns = 0;
    std::uint64_t idle_ns = 0;

    // Who else holds the target is at work on the sequence: that ages nothing.
    bool Expired(std::uint64_t now_ns) {
      if (target.use_count() > 1) used_ns = std::max(used_ns, now_ns);
      return now_ns > used_ns && now_ns - used_ns > idle_ns;
    }
  };

  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::map<std::string, Entry, std::less<>> pins;  // found by a view, without making a string
  };

  Shard& ShardOf(std::string_view key) noexcept;

  std::array<Shard, kShards> shards_;
};

}  // namespace nereid
