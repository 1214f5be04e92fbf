// Times the router's decisions: perf/decisions.py builds, runs and reads it.
//
// One line for each run: scenario, threads, nanoseconds of CPU time a decision took, with the request
// counted out again (Decide and Finish); of who answered, what it takes to note it. CPU time of each thread, so that other work on the machine
// counts as little as it can; waiting for another core's cache line is in it.

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "decide.h"
#include "request_log.h"

namespace {

using nereid::ArmState;
using nereid::AttributeList;
using nereid::Decider;
using nereid::Policy;

constexpr std::size_t kRequests = 1024;  // enough that no branch is learned by heart

const char kBreaker[] =
    "breaker consecutive 5 rate 5000 min_requests 20 window_us 10000000 open_us 30000000 "
    "max_open_us 300000000\n";

struct Scenario {
  const char* name;
  int arms;
  const char* slots;
  std::string rest;
};

std::vector<Scenario> Scenarios() {
  const std::string sticky = "sticky header x-user-id salt digits\n";
  const std::string rules =
      "rule 1 header x-tenant-id equals acme\nrule 1 header x-tenant-id in b c d\n"
      "rule 1 header x-user-id prefix tester-\n";
  return {
      {"weighted", 2, "0:9000 1:1000", kBreaker},
      {"sticky", 2, "0:9000 1:1000", sticky + kBreaker},
      {"sticky in slow start", 2, "0:9000 1:1000",
       sticky + kBreaker + "slow_start window_us 1000000000000 aggression 2\n"},
      {"three rules, then sticky", 2, "0:9000 1:1000", sticky + rules + kBreaker},
      {"adaptive over 4 arms", 4, "0:2500 1:2500 2:2500 3:2500",
       std::string(kBreaker) + "objective alpha 1 beta 0.5 gamma 1 delta 0.5 explore 200\n"},
      {"adaptive over 16 arms", 16,
       "0:625 1:625 2:625 3:625 4:625 5:625 6:625 7:625 8:625 9:625 10:625 11:625 12:625 13:625 "
       "14:625 15:625",
       std::string(kBreaker) + "objective alpha 1 beta 0.5 gamma 1 delta 0.5 explore 200\n"},
  };
}

// A router with its states, as the backend holds them.
struct Router {
  explicit Router(const Scenario& scenario) {
    std::string text = "nereid-traffic 1\nendpoint digits\ngeneration 1\n";
    for (int i = 0; i < scenario.arms; ++i) {
      text += "arm digits.v" + std::to_string(i) + ".abcdef" + (i == 0 ? " primary" : "") +
              " cost " + std::to_string(i + 1) + " accuracy 0.9" + std::to_string(i % 10) +
              " capacity 32\n";
    }
    text += std::string("slots ") + scenario.slots + "\n" + scenario.rest;
    nereid::PolicyError error;
    if (!nereid::ParsePolicy(text, &policy, &error)) {
      std::fprintf(stderr, "line %zu: %s\n", error.line, error.reason.c_str());
      std::exit(1);
    }
    std::vector<ArmState*> held;
    for (std::size_t i = 0; i < policy.arms.size(); ++i) {
      states.push_back(std::make_unique<ArmState>());
      states.back()->Adopt(policy, i, 0, 1);
      states.back()->latency.Record(1'000'000 + 1'000 * i, 1);
      held.push_back(states.back().get());
    }
    decider = std::make_unique<Decider>(policy, held, 1);
  }

  Policy policy;
  std::vector<std::unique_ptr<ArmState>> states;
  std::unique_ptr<Decider> decider;
};

// Five parameters, the key of 36 characters last.
struct Requests {
  Requests() : users(kRequests), lists(kRequests) {
    for (std::size_t i = 0; i < kRequests; ++i) {
      char text[37];
      std::snprintf(
          text, sizeof text, "%08x-1234-4abc-8def-%012zx",
          static_cast<std::uint32_t>(i * 2654435761U), i * 40503U);
      users[i] = text;
      lists[i].Add("temperature", "0.7");
      lists[i].Add("x-request-id", "0123456789");
      lists[i].Add("x-tenant-id", "someone");
      lists[i].Add("priority", "3");
      lists[i].Add("X-User-Id", users[i]);
    }
  }

  std::vector<std::string> users;
  std::vector<AttributeList> lists;
};

double CpuNs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double TimeOne(Router* router, const Requests& requests, std::size_t decisions) {
  const double before = CpuNs();
  std::uint64_t now_ns = 1'000'000'000;
  for (std::size_t i = 0; i < decisions; ++i) {
    const nereid::Decision decision =
        router->decider->Decide(requests.lists[i % kRequests], now_ns += 1'000);
    router->states[decision.arm]->Finish();
  }
  return (CpuNs() - before) / static_cast<double>(decisions);
}

// Noting who answered, as each answered request with an id does: the ids are 36 bytes.
double TimeNotes(const Requests& requests, std::size_t notes) {
  std::string reason;
  const std::string path = "/tmp/nereid-decisions-" + std::to_string(getpid());
  const auto log = nereid::RequestLog::Open(path, 1 << 20, [](const std::string&) {}, &reason);
  if (!log) return 0;
  unlink(path.c_str());
  const std::uint64_t seed = nereid::RequestLog::EndpointSeed("m");
  const std::uint16_t arm = log->Arm("m.v1.abcdef");
  const double before = CpuNs();
  for (std::size_t i = 0; i < notes; ++i) log->Note(seed, requests.users[i % kRequests], arm);
  return (CpuNs() - before) / static_cast<double>(notes);
}

double Time(const Scenario& scenario, const Requests& requests, std::size_t threads,
            std::size_t decisions) {
  Router router(scenario);
  std::vector<double> each(threads);
  std::vector<std::thread> running;
  std::atomic<std::size_t> ready{0};
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() < threads) std::this_thread::yield();
      each[i] = TimeOne(&router, requests, decisions);
    });
  }
  for (std::thread& thread : running) thread.join();
  double sum = 0;
  for (double one : each) sum += one;
  return sum / static_cast<double>(threads);
}

}  // namespace

// decisions <runs> <decisions in a run> <threads>...
int main(int count, char** arguments) {
  if (count < 4) return 2;
  const int runs = std::atoi(arguments[1]);
  const auto decisions = static_cast<std::size_t>(std::atoll(arguments[2]));
  const Requests requests;
  // Scenarios take turns, so that a busy moment of the machine does not fall on one of them.
  for (int run = 0; run < runs; ++run) {
    std::printf("noting who answered\t1\t%.2f\n", TimeNotes(requests, decisions));
    for (const Scenario& scenario : Scenarios()) {
      for (int i = 3; i < count; ++i) {
        const auto threads = static_cast<std::size_t>(std::atoi(arguments[i]));
        std::printf("%s\t%zu\t%.2f\n", scenario.name, threads,
                    Time(scenario, requests, threads, decisions));
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
