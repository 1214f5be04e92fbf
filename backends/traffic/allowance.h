// How often an arm may still be tried, whatever has become of the control plane. Free of Triton.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <string>

#include "policy.h"

namespace nereid {

// Attempts are taken before they are made, so never more than were granted, from however many
// threads; failures are counted when they happened. Everything but Adopt is lock-free.
class AllowanceCount {
 public:
  // The allowance of a policy just loaded: the same grant goes on counting, another begins anew,
  // none lifts the bounds (and keeps the count of the grant it knew). `now_unix_ms` and `now_ns` are
  // one moment on both clocks: the deadline is kept on the steady one.
  void Adopt(
      const std::optional<Allowance>& allowance, std::int64_t now_unix_ms, std::uint64_t now_ns);

  bool Knows(const std::string& grant) const;
  // Takes over what another count has left of the grant; false if it does not know it.
  bool ContinueFrom(const AllowanceCount& other, const std::string& grant);

  // Takes one attempt; false when the allowance is spent.
  bool Take(std::uint64_t now_ns) noexcept;
  bool Spent(std::uint64_t now_ns) const noexcept;
  void Failed() noexcept;

  std::int64_t attempts_left() const noexcept;  // -1: no bound
  std::int64_t failures_left() const noexcept;  // -1: no bound

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  mutable std::mutex adopting_;
  std::string grant_;
  bool active_ = false;
  std::int64_t parked_attempts_ = -1;  // the count of `grant_` while no allowance is in force
  std::int64_t parked_failures_ = -1;

  std::atomic<std::int64_t> attempts_{-1};
  std::atomic<std::int64_t> failures_{-1};
  std::atomic<std::uint64_t> deadline_ns_{kNever};
};

}  // namespace nereid
