#include "watch.h"

#include <chrono>
#include <utility>

namespace nereid {
namespace {

// Cancellation should reach an arm within 10 ms.
constexpr auto kBusyPeriod = std::chrono::milliseconds(4);
constexpr auto kIdlePeriod = std::chrono::milliseconds(250);
constexpr std::uint64_t kNowAndThenNs = 250'000'000;
// So that a caller who comes again and again does not wake the thread each time.
constexpr int kLooksBeforeSleep = 250;

void CancelInner(const Attempt& attempt) {
  if (!attempt.watched) return;
  LogIfError(TRITONSERVER_InferenceRequestCancel(attempt.inner), "cancel an inner request");
}

}  // namespace

Watch::Watch(
    std::function<void(Attempt*)> timed_out, std::function<void(std::uint64_t)> now_and_then)
    : timed_out_(std::move(timed_out)),
      now_and_then_(std::move(now_and_then)),
      thread_([this] { Run(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard<std::mutex> lock(sleeping_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Watch::Shard& Watch::ShardOf(const Call* call) {
  // Calls are some hundred bytes apart.
  const auto address = reinterpret_cast<std::uintptr_t>(call);
  return shards_[((address >> 6) * 0x9e3779b97f4a7c15ULL >> 32) % kShards];
}

void Watch::Enter(Call* call) {
  Shard& shard = ShardOf(call);
  {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    call->next = shard.first;
    if (call->next != nullptr) call->next->previous = call;
    shard.first = call;
  }
  if (asleep_.load(std::memory_order_seq_cst)) {
    const std::lock_guard<std::mutex> lock(sleeping_);
    asleep_.store(false, std::memory_order_relaxed);
    wake_.notify_all();
  }
}

void Watch::Leave(Call* call) {
  Shard& shard = ShardOf(call);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  if (call->next != nullptr) call->next->previous = call->previous;
  if (call->previous != nullptr) {
    call->previous->next = call->next;
  } else {
    shard.first = call->next;
  }
}

void Watch::Submitted(Attempt* attempt, std::uint64_t timeout_at_ns) {
  const std::lock_guard<std::mutex> lock(ShardOf(attempt->call).mutex);
  if (attempt->finished) return;
  attempt->watched = true;
  attempt->timeout_at_ns = timeout_at_ns;
  if (attempt->call->cancelled.load(std::memory_order_relaxed)) CancelInner(*attempt);
}

void Watch::Cancel(Attempt* attempt) {
  const std::lock_guard<std::mutex> lock(ShardOf(attempt->call).mutex);
  CancelInner(*attempt);
}

void Watch::Finished(Attempt* attempt) {
  const std::lock_guard<std::mutex> lock(ShardOf(attempt->call).mutex);
  attempt->finished = true;
  attempt->watched = false;
  attempt->timeout_at_ns = 0;
}

void Watch::GiveUpLater(Call* call, const ServerThread* thread, std::uint64_t number) {
  // The call is on its way: the watch is awake, and looks again within its busy period.
  const std::lock_guard<std::mutex> lock(holding_);
  held_.push_back({call, thread, number});
}

void Watch::GiveUpHolds() {
  std::vector<Held> looked_at;
  {
    const std::lock_guard<std::mutex> lock(holding_);
    looked_at.swap(held_);
  }
  std::vector<Held> kept;
  for (const Held& one : looked_at) {
    // The thread is its router's, which the call keeps.
    if (one.thread->IsThroughWith(one.number)) {
      one.call->GiveUpHold();
    } else {
      kept.push_back(one);
    }
  }
  if (kept.empty()) return;
  const std::lock_guard<std::mutex> lock(holding_);
  held_.insert(held_.end(), kept.begin(), kept.end());
}

void Watch::Run() {
  int looks_without_a_call = 0;
  std::uint64_t next_ns = 0;
  while (true) {
    const std::uint64_t now_ns = NowNs();
    if (now_ns >= next_ns) {
      now_and_then_(now_ns);
      next_ns = now_ns + kNowAndThenNs;
    }
    looks_without_a_call = LookAtAll(now_ns) ? 0 : looks_without_a_call + 1;
    for (Attempt* attempt : late_) {
      Call* const call = attempt->call;
      timed_out_(attempt);
      call->GiveUpReference();
    }
    late_.clear();
    GiveUpHolds();
    Sleep(looks_without_a_call < kLooksBeforeSleep);
    const std::lock_guard<std::mutex> lock(sleeping_);
    if (stop_) return;
  }
}

bool Watch::AnyCall() {
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    if (shard.first != nullptr) return true;
  }
  return false;
}

bool Watch::LookAtAll(std::uint64_t now_ns) {
  bool any = false;
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (Call* call = shard.first; call != nullptr; call = call->next) {
      any = true;
      LookAt(call, now_ns);
    }
  }
  return any;
}

void Watch::LookAt(Call* call, std::uint64_t now_ns) {
  if (!call->cancelled.load(std::memory_order_relaxed)) {
    bool cancelled = false;
    // An error would be the same every few milliseconds: it is no cancellation, and no news.
    const Error unknown(TRITONBACKEND_RequestIsCancelled(call->outer, &cancelled));
    if (!unknown && cancelled) {
      call->cancelled.store(true, std::memory_order_relaxed);
      CancelInner(call->first);
      CancelInner(call->rescue);
    }
  }
  for (Attempt* attempt : {&call->first, &call->rescue}) {
    if (attempt->timeout_at_ns == 0 || now_ns < attempt->timeout_at_ns) continue;
    attempt->timeout_at_ns = 0;
    call->Refer();
    late_.push_back(attempt);
  }
}

void Watch::Sleep(bool busy) {
  if (!busy) {
    asleep_.store(true, std::memory_order_seq_cst);
    busy = AnyCall();  // one that entered before it could see that
  }
  std::unique_lock<std::mutex> lock(sleeping_);
  if (stop_) return;
  if (busy) {
    asleep_.store(false, std::memory_order_relaxed);
    wake_.wait_for(lock, kBusyPeriod);
    return;
  }
  wake_.wait_for(lock, kIdlePeriod, [this] { return stop_ || !asleep_.load(); });
  asleep_.store(false, std::memory_order_relaxed);
}

}  // namespace nereid
