#include "allowance.h"

namespace nereid {
namespace {

constexpr std::int64_t kNoBound = -1;
constexpr std::int64_t kNsPerMs = 1'000'000;

// Counts down to zero, never below; false at zero. No bound: nothing to count.
bool TakeOne(std::atomic<std::int64_t>* left) noexcept {
  std::int64_t value = left->load(std::memory_order_relaxed);
  do {
    if (value == kNoBound) return true;
    if (value == 0) return false;
  } while (!left->compare_exchange_weak(value, value - 1, std::memory_order_relaxed));
  return true;
}

std::uint64_t OnSteadyClock(
    std::int64_t unix_ms, std::int64_t now_unix_ms, std::uint64_t now_ns, std::uint64_t never) {
  const std::int64_t left_ms = unix_ms - now_unix_ms;
  if (left_ms <= 0) return 0;
  const std::uint64_t room_ms = (never - now_ns) / static_cast<std::uint64_t>(kNsPerMs);
  if (static_cast<std::uint64_t>(left_ms) >= room_ms) return never;
  return now_ns + static_cast<std::uint64_t>(left_ms * kNsPerMs);
}

}  // namespace

void AllowanceCount::Adopt(
    const std::optional<Allowance>& allowance, std::int64_t now_unix_ms, std::uint64_t now_ns) {
  const std::lock_guard<std::mutex> lock(adopting_);
  if (!allowance) {
    if (active_) {
      parked_attempts_ = attempts_.load(std::memory_order_relaxed);
      parked_failures_ = failures_.load(std::memory_order_relaxed);
    }
    active_ = false;
    attempts_.store(kNoBound, std::memory_order_relaxed);
    failures_.store(kNoBound, std::memory_order_relaxed);
    deadline_ns_.store(kNever, std::memory_order_relaxed);
    return;
  }
  const bool same = allowance->grant == grant_;
  if (!same || !active_) {
    attempts_.store(same ? parked_attempts_ : allowance->attempts, std::memory_order_relaxed);
    failures_.store(same ? parked_failures_ : allowance->failures, std::memory_order_relaxed);
  }
  grant_ = allowance->grant;
  active_ = true;
  // Also for the same grant: the wall clock may have been set since.
  const std::int64_t until = allowance->until_unix_ms;
  deadline_ns_.store(
      until < 0 ? kNever : OnSteadyClock(until, now_unix_ms, now_ns, kNever),
      std::memory_order_relaxed);
}

bool AllowanceCount::Knows(const std::string& grant) const {
  const std::lock_guard<std::mutex> lock(adopting_);
  return grant_ == grant;
}

bool AllowanceCount::ContinueFrom(const AllowanceCount& other, const std::string& grant) {
  std::int64_t attempts = kNoBound;
  std::int64_t failures = kNoBound;
  {
    const std::lock_guard<std::mutex> lock(other.adopting_);
    if (other.grant_ != grant) return false;
    attempts = other.active_ ? other.attempts_.load(std::memory_order_relaxed)
                             : other.parked_attempts_;
    failures = other.active_ ? other.failures_.load(std::memory_order_relaxed)
                             : other.parked_failures_;
  }
  const std::lock_guard<std::mutex> lock(adopting_);
  grant_ = grant;
  active_ = false;
  parked_attempts_ = attempts;
  parked_failures_ = failures;
  return true;
}

bool AllowanceCount::Take(std::uint64_t now_ns) noexcept {
  if (failures_.load(std::memory_order_relaxed) == 0) return false;
  const std::uint64_t deadline = deadline_ns_.load(std::memory_order_relaxed);
  if (deadline != kNever && now_ns >= deadline) return false;
  return TakeOne(&attempts_);
}

bool AllowanceCount::Spent(std::uint64_t now_ns) const noexcept {
  const std::uint64_t deadline = deadline_ns_.load(std::memory_order_relaxed);
  return attempts_.load(std::memory_order_relaxed) == 0 ||
         failures_.load(std::memory_order_relaxed) == 0 ||
         (deadline != kNever && now_ns >= deadline);
}

void AllowanceCount::Failed() noexcept { TakeOne(&failures_); }

std::int64_t AllowanceCount::attempts_left() const noexcept {
  return attempts_.load(std::memory_order_relaxed);
}

std::int64_t AllowanceCount::failures_left() const noexcept {
  return failures_.load(std::memory_order_relaxed);
}

}  // namespace nereid
