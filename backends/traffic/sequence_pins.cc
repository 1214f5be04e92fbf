#include "sequence_pins.h"

#include <utility>

#include "key_hash.h"

namespace nereid {

SequencePins::Shard& SequencePins::ShardOf(std::string_view key) noexcept {
  return shards_[Xxh64(key, 0) % kShards];
}

SequencePins::Target SequencePins::Find(std::string_view key, std::uint64_t now_ns) {
  Shard& shard = ShardOf(key);
  Target expired;
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.pins.find(key);
  if (found == shard.pins.end()) return nullptr;
  if (!found->second.Expired(now_ns)) {
    if (now_ns > found->second.used_ns) found->second.used_ns = now_ns;
    return found->second.target;
  }
  expired = std::move(found->second.target);
  shard.pins.erase(found);
  return nullptr;  // `expired` goes after the lock: it was declared before it
}

void SequencePins::Pin(
    std::string_view key, Target target, std::uint64_t now_ns, std::uint64_t idle_ns) {
  Shard& shard = ShardOf(key);
  Entry entry{std::move(target), now_ns, idle_ns};
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.pins.find(key);
  if (found == shard.pins.end()) {
    shard.pins.emplace(std::string(key), std::move(entry));
  } else {
    std::swap(found->second, entry);
  }
}

void SequencePins::Unpin(std::string_view key) {
  Shard& shard = ShardOf(key);
  Target dropped;
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto found = shard.pins.find(key);
  if (found == shard.pins.end()) return;
  dropped = std::move(found->second.target);
  shard.pins.erase(found);
}

std::size_t SequencePins::Expire(std::uint64_t now_ns) {
  std::vector<Target> dropped;
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (auto pin = shard.pins.begin(); pin != shard.pins.end();) {
      if (pin->second.Expired(now_ns)) {
        dropped.push_back(std::move(pin->second.target));
        pin = shard.pins.erase(pin);
      } else {
        ++pin;
      }
    }
  }
  return dropped.size();
}

std::size_t SequencePins::size() const {
  std::size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    count += shard.pins.size();
  }
  return count;
}

}  // namespace nereid
