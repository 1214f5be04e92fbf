#include "allowance.h"

#include <utility>

namespace nereid {
namespace {

constexpr std::int64_t kNoBound = -1;
constexpr std::int64_t kNsPerMs = 1'000'000;

// Counts down to zero, never below; false at zero or less.
bool TakeOne(std::atomic<std::int64_t>* left) noexcept {
  std::int64_t value = left->load(std::memory_order_relaxed);
  do {
    if (value <= 0) return false;
  } while (!left->compare_exchange_weak(value, value - 1, std::memory_order_relaxed));
  return true;
}

std::uint64_t OnSteadyClock(
    std::int64_t unix_ms, std::int64_t now_unix_ms, std::uint64_t now_ns, std::uint64_t never) {
  const std::int64_t left_ms = unix_ms - now_unix_ms;
  if (left_ms <= 0) return 0;
  const std::uint64_t room_ms = (never - now_ns) / static_cast<std::uint64_t>(kNsPerMs);
  if (static_cast<std::uint64_t>(left_ms) >= room_ms) return never;
  return now_ns + static_cast<std::uint64_t>(left_ms) * static_cast<std::uint64_t>(kNsPerMs);
}

}  // namespace

Grant::Grant(const Allowance& allowance)
    : word_(allowance.grant),
      bounds_failures_(allowance.failures != kNoBound),
      attempts_(allowance.attempts),
      failures_(allowance.failures),
      free_(allowance.failures) {}

void Grant::SetDeadline(
    std::int64_t until_unix_ms, std::int64_t now_unix_ms, std::uint64_t now_ns) noexcept {
  deadline_ns_.store(
      until_unix_ms < 0 ? kNever : OnSteadyClock(until_unix_ms, now_unix_ms, now_ns, kNever),
      std::memory_order_relaxed);
}

bool Grant::Over(std::uint64_t now_ns) const noexcept {
  const std::uint64_t deadline = deadline_ns_.load(std::memory_order_relaxed);
  return deadline != kNever && now_ns >= deadline;
}

bool Grant::Take(std::uint64_t now_ns) noexcept {
  if (Over(now_ns)) return false;
  if (bounds_failures_ && !TakeOne(&free_)) return false;
  if (attempts_left() == kNoBound || TakeOne(&attempts_)) return true;
  if (bounds_failures_) free_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

bool Grant::TakeAnyway(std::uint64_t now_ns) noexcept {
  if (Over(now_ns)) return false;
  TakeOne(&attempts_);
  return bounds_failures_ && TakeOne(&free_);
}

void Grant::Settle(bool reserved, bool failed) noexcept {
  if (!bounds_failures_) return;
  // What others overdrew may have used up the failure that was reserved here.
  const bool charged = failed && TakeOne(&failures_);
  if (reserved && !charged) free_.fetch_add(1, std::memory_order_relaxed);
  if (!reserved && charged) free_.fetch_sub(1, std::memory_order_relaxed);
}

bool Grant::Gives(std::uint64_t now_ns) const noexcept {
  return attempts_left() != 0 && !Over(now_ns) &&
         (!bounds_failures_ || free_.load(std::memory_order_relaxed) > 0);
}

bool Grant::Spent(std::uint64_t now_ns) const noexcept {
  return attempts_left() == 0 || failures_left() == 0 || Over(now_ns);
}

std::shared_ptr<Grant> ArmAllowance::Adopt(
    const std::optional<Allowance>& allowance, std::int64_t now_unix_ms, std::uint64_t now_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  in_force_ = allowance.has_value();
  if (!allowance) return nullptr;
  if (!known_ || known_->word() != allowance->grant) known_ = std::make_shared<Grant>(*allowance);
  // Also for the same grant: the wall clock may have been set since.
  known_->SetDeadline(allowance->until_unix_ms, now_unix_ms, now_ns);
  return known_;
}

bool ArmAllowance::Knows(const std::string& word) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return known_ && known_->word() == word;
}

bool ArmAllowance::ContinueFrom(const ArmAllowance& other, const std::string& word) {
  std::shared_ptr<Grant> grant;
  {
    const std::lock_guard<std::mutex> lock(other.mutex_);
    if (!other.known_ || other.known_->word() != word) return false;
    grant = other.known_;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  known_ = std::move(grant);
  in_force_ = false;
  return true;
}

std::shared_ptr<Grant> ArmAllowance::Current() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return in_force_ ? known_ : nullptr;
}

}  // namespace nereid
