// Looks after requests on their way: passes their callers' cancellations on, and ends what takes too
// long.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "call.h"

namespace nereid {

// Cancellation can only be polled (Triton calls nobody back), so one thread goes through all calls
// every few milliseconds while there are any. Calls are spread over shards with a lock each.
class Watch {
 public:
  // `timed_out` is called for each attempt whose time is up, from the watch's thread and under no
  // lock; `now_and_then` a few times a second.
  Watch(std::function<void(Attempt*)> timed_out, std::function<void(std::uint64_t)> now_and_then);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void Enter(Call* call);
  void Leave(Call* call);

  // The attempt's inner request was submitted, and has until then (0: for ever), unless it has
  // finished already. Triton can cancel no request sooner. If the caller has cancelled meanwhile,
  // it is cancelled at once.
  void Submitted(Attempt* attempt, std::uint64_t timeout_at_ns);

  void Cancel(Attempt* attempt);

  // From now on the attempt is left alone.
  void Finished(Attempt* attempt);

  // Gives up a hold on the call once the server's thread is through with what it began as `number`.
  void GiveUpLater(Call* call, const ServerThread* thread, std::uint64_t number);

 private:
  static constexpr std::size_t kShards = 16;

  struct alignas(64) Shard {
    std::mutex mutex;
    Call* first = nullptr;
  };

  struct Held {
    Call* call;
    const ServerThread* thread;
    std::uint64_t number;
  };

  Shard& ShardOf(const Call* call);
  void Run();
  bool AnyCall();
  bool LookAtAll(std::uint64_t now_ns);
  void LookAt(Call* call, std::uint64_t now_ns);
  void GiveUpHolds();
  void Sleep(bool busy);

  const std::function<void(Attempt*)> timed_out_;
  const std::function<void(std::uint64_t)> now_and_then_;
  std::array<Shard, kShards> shards_;
  std::vector<Attempt*> late_;  // of the watch's thread

  std::mutex holding_;
  std::vector<Held> held_;  // under that lock

  std::mutex sleeping_;
  std::condition_variable wake_;
  std::atomic<bool> asleep_{false};
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace nereid
