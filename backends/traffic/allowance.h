// How often an arm may still be tried, whatever has become of the control plane. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "policy.h"

namespace nereid {

// What one grant has left; shared by every arm, router and attempt that it belongs to, so that a
// reload neither loses nor doubles what is under way. -1: no bound. Lock-free.
//
// An attempt is taken before it is made, and with it one failure is reserved: it is given back when
// the attempt ended without having failed. So there are never more failed attempts than were
// granted, from however many threads, and at most as many attempts at once as failures are left.
class Grant {
 public:
  explicit Grant(const Allowance& allowance);
  Grant(const Grant&) = delete;
  Grant& operator=(const Grant&) = delete;

  // `now_unix_ms` and `now_ns` are one moment on both clocks: the deadline is kept on the steady one.
  void SetDeadline(std::int64_t until_unix_ms, std::int64_t now_unix_ms, std::uint64_t now_ns) noexcept;

  // Takes one attempt and reserves one failure; false where there is none to take.
  bool Take(std::uint64_t now_ns) noexcept;
  // Takes what there is for an attempt that is made in any case; false if no failure is reserved.
  bool TakeAnyway(std::uint64_t now_ns) noexcept;
  // What became of an attempt: once for each. With nothing reserved a failure is charged all the
  // same, and what is left may be less than what is under way.
  void Settle(bool reserved, bool failed) noexcept;

  // Whether Take would succeed now.
  bool Gives(std::uint64_t now_ns) const noexcept;
  // Nothing is left for good: that every failure is reserved just now is another thing.
  bool Spent(std::uint64_t now_ns) const noexcept;
  // Its deadline has passed.
  bool Over(std::uint64_t now_ns) const noexcept;

  const std::string& word() const noexcept { return word_; }
  std::int64_t attempts_left() const noexcept { return attempts_.load(std::memory_order_relaxed); }
  // Those that have not happened, reserved ones included.
  std::int64_t failures_left() const noexcept { return failures_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  const std::string word_;
  const bool bounds_failures_;
  std::atomic<std::int64_t> attempts_;
  std::atomic<std::int64_t> failures_;
  std::atomic<std::int64_t> free_;  // failures that are left and not reserved; below 0: overdrawn
  std::atomic<std::uint64_t> deadline_ns_{kNever};
};

// Which grant an arm has, from load to load. Safe from any thread.
class ArmAllowance {
 public:
  // The allowance of a policy just loaded: the same grant goes on counting, another begins anew,
  // none lifts the bounds (and the grant it knew is kept). The grant in force, null for none.
  std::shared_ptr<Grant> Adopt(
      const std::optional<Allowance>& allowance, std::int64_t now_unix_ms, std::uint64_t now_ns);

  bool Knows(const std::string& word) const;
  // Goes on with the grant of another arm; false if that does not know it.
  bool ContinueFrom(const ArmAllowance& other, const std::string& word);

  std::shared_ptr<Grant> Current() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Grant> known_;
  bool in_force_ = false;
};

}  // namespace nereid
