// C entry points that let many threads at one part at once and say whether its law held.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "allowance.h"
#include "breaker.h"
#include "entry.h"
#include "rescue_budget.h"
#include "sequence_pins.h"

namespace {

// All begin at the same moment, or the first would be done before the last is there.
void Together(std::size_t threads, const std::function<void(std::size_t)>& work) {
  std::atomic<bool> begin{false};
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      while (!begin.load(std::memory_order_acquire)) std::this_thread::yield();
      work(i);
    });
  }
  begin.store(true, std::memory_order_release);
  for (std::thread& thread : running) thread.join();
}

// How many are inside at once, and the most there ever were.
class Crowd {
 public:
  void Enter() {
    const std::int64_t inside = inside_.fetch_add(1) + 1;
    std::int64_t most = most_.load();
    while (inside > most && !most_.compare_exchange_weak(most, inside)) {
    }
  }
  void Leave() { inside_.fetch_sub(1); }
  std::int64_t most() const { return most_.load(); }

 private:
  std::atomic<std::int64_t> inside_{0};
  std::atomic<std::int64_t> most_{0};
};

}  // namespace

// Takes that succeeded.
NEREID_EXPORT std::int64_t nereid_stress_allowance(
    std::int64_t attempts, std::size_t threads, std::size_t tries) {
  nereid::Grant grant(nereid::Allowance{"stress", attempts, -1, -1});
  std::atomic<std::int64_t> kept{0};
  Together(threads, [&](std::size_t) {
    for (std::size_t i = 0; i < tries; ++i) {
      if (grant.Take(1)) kept.fetch_add(1);
    }
  });
  return kept.load();
}

// Attempts that failed, of a grant of so many failures: one in `failing` does, and each ends some
// time after it began. Meanwhile the grant is put to one arm and to another, as reloads do. `left`
// is what the grant says at the end, `most` the most attempts under way at once.
NEREID_EXPORT std::int64_t nereid_stress_failures(
    std::int64_t failures, std::size_t threads, std::size_t tries, std::size_t failing,
    std::int64_t* left, std::int64_t* most) {
  const nereid::Allowance allowance{"stress", -1, failures, -1};
  nereid::ArmAllowance arms[2];
  arms[0].Adopt(allowance, 0, 0);
  arms[1].ContinueFrom(arms[0], allowance.grant);
  arms[1].Adopt(allowance, 0, 0);
  std::atomic<std::int64_t> failed{0};
  Crowd under_way;
  Together(threads, [&](std::size_t thread) {
    for (std::size_t i = 0; i < tries; ++i) {
      nereid::ArmAllowance& arm = arms[(thread + i) % 2];
      if (i % 64 == 0) {  // a policy without it, and one with it again
        arm.Adopt(std::nullopt, 0, 0);
        arm.ContinueFrom(arms[(thread + i + 1) % 2], allowance.grant);
        arm.Adopt(allowance, 0, 0);
      }
      const std::shared_ptr<nereid::Grant> grant = arm.Current();
      if (!grant || !grant->Take(1)) continue;
      under_way.Enter();
      if (i % 8 == 0) std::this_thread::yield();
      const bool fails = i % failing == 0;
      if (fails) failed.fetch_add(1);
      under_way.Leave();
      grant->Settle(true, fails);
    }
  });
  *left = arms[0].Current()->failures_left();
  *most = under_way.most();
  return failed.load();
}

// The most rescues that were in flight at once, of `in_flight` requests.
NEREID_EXPORT std::int64_t nereid_stress_budget(
    std::uint32_t parts, std::uint32_t floor, std::size_t in_flight, std::size_t threads,
    std::size_t tries) {
  nereid::RescueBudget budget;
  for (std::size_t i = 0; i < in_flight; ++i) budget.Began();
  Crowd rescues;
  Together(threads, [&](std::size_t) {
    for (std::size_t i = 0; i < tries; ++i) {
      if (!budget.TryRescue(nereid::RescueRule{parts, floor}, false)) continue;
      rescues.Enter();
      std::this_thread::yield();
      rescues.Leave();
      budget.RescueEnded();
    }
  });
  return rescues.most();
}

// The most probes in flight at once, while a breaker opens, half-opens and closes, until it has
// closed `rounds` times: how many tries that takes is the scheduler's doing (a probe's thread that
// has to wait for its core keeps all others out for as long).
NEREID_EXPORT std::int64_t nereid_stress_breaker(
    std::size_t threads, std::uint64_t rounds, std::uint64_t* openings, std::uint64_t* closings) {
  nereid::Breaker breaker;
  const nereid::BreakerRule rule{3, 5000, 10, 10'000, 1'000, 4'000, 0};
  Crowd probes;
  std::atomic<std::uint64_t> now_ns{1'000'000};
  std::atomic<std::uint64_t> opened{0};
  std::atomic<std::uint64_t> closed{0};
  Together(threads, [&](std::size_t) {
    for (std::size_t i = 0; closed.load() < rounds; ++i) {
      const std::uint64_t now = now_ns.fetch_add(100);
      const nereid::Breaker::Pass pass = breaker.Ask(rule, now);
      if (!pass.allowed) {
        std::this_thread::yield();
        continue;
      }
      if (pass.probe) probes.Enter();
      std::this_thread::yield();
      // Long stretches of failures and of successes, so that it goes both ways.
      const bool failed = (now / 50'000) % 2 == 0;
      if (pass.probe) probes.Leave();
      if (pass.probe && i % 7 == 0) {
        breaker.GiveBack(true);
        continue;
      }
      const nereid::Breaker::Verdict verdict = breaker.Record(rule, failed, 10, now, pass.probe);
      if (verdict.opened) opened.fetch_add(1);
      if (verdict.closed) closed.fetch_add(1);
    }
  });
  *openings = opened.load();
  *closings = closed.load();
  return probes.most();
}

// How often a sequence was found on another target than its own. Each thread has sequences of its
// own, beside the others'; pins and targets come and go all the time.
NEREID_EXPORT std::uint64_t nereid_stress_pins(std::size_t threads, std::size_t tries) {
  nereid::SequencePins pins;
  std::atomic<std::uint64_t> wrong{0};
  Together(threads, [&](std::size_t thread) {
    for (std::size_t i = 0; i < tries; ++i) {
      const std::string key = std::to_string(thread) + "/" + std::to_string(i % 50);
      const auto target = std::make_shared<std::uint64_t>(thread);
      pins.Pin(key, target, i, 1'000'000);
      if (i % 100 == 0) pins.Expire(i);
      const nereid::SequencePins::Target found = pins.Find(key, i);
      if (found.get() != target.get()) wrong.fetch_add(1);
      if (i % 3 == 0) pins.Unpin(key);
      if (i % 3 == 0 && pins.Find(key, i)) wrong.fetch_add(1);
    }
  });
  return wrong.load();
}

// Requests of many threads through one router: how many each arm got, and the most at once. Those
// on `failing` (an arm's index, or more) fail. Keys go by in turn, in the header `x-user-id`.
NEREID_EXPORT void nereid_stress_router(
    nereid_router* router, std::size_t threads, std::size_t tries, std::size_t failing,
    std::uint64_t* taken, std::int64_t* most, std::uint64_t* rejected) {
  const std::size_t arms = router->policy.arms.size();
  std::vector<Crowd> crowds(arms);
  std::vector<std::atomic<std::uint64_t>> counts(arms);
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> now_ns{1};
  Together(threads, [&](std::size_t thread) {
    for (std::size_t i = 0; i < tries; ++i) {
      const std::string user = std::to_string(thread * tries + i);
      nereid::AttributeList attributes;
      attributes.Add("X-User-Id", user);
      const std::uint64_t now = now_ns.fetch_add(1'000);
      const nereid::Decision decision = router->decider->Decide(attributes, now);
      if (decision.rejected) {
        refused.fetch_add(1);
        continue;
      }
      counts[decision.arm].fetch_add(1);
      crowds[decision.arm].Enter();
      if (i % 16 == 0) std::this_thread::yield();
      crowds[decision.arm].Leave();
      router->End(
          decision.arm,
          decision.arm == failing ? nereid::ArmState::Judgement::kBad
                                  : nereid::ArmState::Judgement::kGood,
          1'000, now + 500, decision.probe);
    }
  });
  for (std::size_t i = 0; i < arms; ++i) {
    taken[i] = counts[i].load();
    most[i] = crowds[i].most();
  }
  *rejected = refused.load();
}
