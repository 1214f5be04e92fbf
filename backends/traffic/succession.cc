#include "succession.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "check.h"

namespace nereid {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(1);

// A thread that neither sleeps nor begins anything new for so long has no processor to run on.
constexpr std::uint64_t kPatienceNs = 2'000'000'000;

void SleepUntil(std::uint64_t then_ns) {
  const std::uint64_t now_ns = NowNs();
  if (then_ns > now_ns) std::this_thread::sleep_for(std::chrono::nanoseconds(then_ns - now_ns));
}

}  // namespace

Succession::Succession(std::vector<std::shared_ptr<Router>> before, std::uint64_t settled_ns)
    : before_(std::move(before)) {
  std::uint64_t loaded_ns = 0;
  for (const auto& router : before_) {
    router->superseded.store(true);
    loaded_ns = std::max(loaded_ns, router->loaded_ns.load());
  }
  if (before_.empty()) return;
  SleepUntil(loaded_ns + settled_ns);
  const std::uint64_t deadline_ns = NowNs() + kPatienceNs;
  for (const auto& router : before_) {
    for (const ServerThread* thread : router->threads.All()) {
      const std::uint64_t entered = thread->entered();
      while (!thread->IsThroughWith(entered) && NowNs() < deadline_ns) {
        std::this_thread::sleep_for(kPeriod);
      }
    }
  }
}

Succession::~Succession() {
  if (succeeded_) return;
  for (const auto& router : before_) router->superseded.store(false);
}

}  // namespace nereid
