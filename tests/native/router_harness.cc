// Runs the router against the fake server: concurrent callers, reloads, cancellations, faults.
//
//   router_harness run <scenario|all> [--scale x] [--threads n]
//   router_harness faults           every interface call fails once: callers are answered, nothing leaks
//   router_harness break <rule>     breaks a rule itself: must not end well
//   router_harness flat [--requests n]   memory after many requests is what it was after few
//
// Prints a line for each scenario; the first broken rule ends the process with a message.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>
#include <thread>
#include <unistd.h>

#include "harness.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  double scale = 1.0;
  int threads = 4;
  std::uint64_t requests = 10'000'000;
};

// The router in force; reloads replace it under the callers' feet.
class Endpoint {
 public:
  explicit Endpoint(const Scenario& scenario) : scenario_(scenario) {}
  bool Reload(std::string* error) {
    const fake::ModelPointer fresh = fake::Load(
        kEndpoint, kVersion, PolicyOf(scenario_, ++generation_), scenario_.decoupled, error);
    if (fresh == nullptr) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    model_ = fresh;
    return true;
  }
  fake::ModelPointer Now() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return model_;
  }
  std::uint64_t generation() const { return generation_; }

 private:
  const Scenario& scenario_;
  mutable std::mutex mutex_;
  fake::ModelPointer model_;
  std::uint64_t generation_ = 0;
};

void CheckAnswer(const Scenario& scenario, const fake::RequestShape& sent, fake::Caller& caller) {
  if (caller.error >= 0 || scenario.decoupled) return;
  if (caller.responses != 1) Die(scenario, "a caller got no response and no error");
  if (caller.arm.empty()) Die(scenario, "an answer does not name its arm");
  if (caller.output != std::vector<char>(sent.input_bytes, sent.fill)) {
    Die(scenario, "a caller got another answer than the arm's");
  }
}

// One thread of callers, each waiting for a few answers at a time. Returns what they were told.
class CallerThread {
 public:
  CallerThread(const Scenario& scenario, const Endpoint& endpoint, std::atomic<std::uint64_t>* next,
               std::uint64_t total)
      : scenario_(scenario), endpoint_(endpoint), next_(*next), total_(total) {}

  void Run() {
    // A sequence's requests come one after another, so its thread takes them in blocks.
    const std::uint64_t block = scenario_.key_of && scenario_.name == "sequences" ? 8 : 1;
    while (true) {
      const std::uint64_t first = next_.fetch_add(block);
      if (first >= total_) break;
      for (std::uint64_t n = first; n < first + block; ++n) Send(n);
    }
    while (!open_.empty()) Finish();
  }

  Tally tally;
  std::map<std::string, std::set<std::string>> arms_of_keys;

 private:
  struct Open {
    std::uint64_t n;
    fake::RequestShape shape;
    std::shared_ptr<fake::Caller> caller;
  };

  void Send(std::uint64_t n) {
    fake::RequestShape shape = scenario_.request(n);
    std::shared_ptr<fake::Caller> caller = fake::Infer(endpoint_.Now(), shape);
    if (scenario_.cancel_one_in != 0 && n % scenario_.cancel_one_in == 0) caller->Cancel();
    open_.push_back({n, std::move(shape), std::move(caller)});
    const std::size_t window = scenario_.name == "sequences" ? 1 : 12;
    while (open_.size() >= window) Finish();
  }

  void Finish() {
    const Open open = std::move(open_.front());
    open_.erase(open_.begin());
    open.caller->Wait();
    CheckAnswer(scenario_, open.shape, *open.caller);
    ++tally.requests;
    tally.responses += static_cast<std::uint64_t>(open.caller->responses);
    if (open.caller->error >= 0) {
      ++tally.errors;
      ++tally.codes[open.caller->error];
    } else {
      ++tally.arms[open.caller->arm];
      if (scenario_.key_of) arms_of_keys[scenario_.key_of(open.n)].insert(open.caller->arm);
    }
  }

  const Scenario& scenario_;
  const Endpoint& endpoint_;
  std::atomic<std::uint64_t>& next_;
  const std::uint64_t total_;
  std::vector<Open> open_;
};

// Attempts are what arms were given or could not be given, shadows apart; each has one outcome.
void CheckMetrics(const Scenario& scenario, const Tally& tally) {
  double attempts = static_cast<double>(fake::AsksForAbsentArms());
  for (const char* arm : {"m.v1.aaaaaa", "m.v2.bbbbbb", "m.v3.cccccc", "m.v4.dddddd"}) {
    if (arm == scenario.shadow_arm) continue;
    const fake::ArmCounts counts = fake::CountsOf(arm);
    attempts += static_cast<double>(counts.submitted + counts.refused);
  }
  const double rejected =
      fake::MetricSum("nereid_requests_total", {{"outcome", "rejected"}});
  const double counted = fake::MetricSum("nereid_requests_total") - rejected;
  if (counted != attempts) {
    Die(scenario, "the metrics count " + std::to_string(counted) + " attempts of " +
                      std::to_string(attempts));
  }
  if (attempts + rejected < static_cast<double>(tally.requests)) {
    Die(scenario, "fewer attempts than requests");
  }
  // An attempt leaves the gauge just after its request is gone: its thread may be held back between.
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (fake::MetricSum("nereid_inflight_requests") != 0) {
    if (Clock::now() > deadline) {
      Die(scenario, "the gauge of requests in flight did not come back to 0");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Tally Drive(const Scenario& scenario, const Options& options, Endpoint* endpoint) {
  const std::uint64_t total =
      static_cast<std::uint64_t>(static_cast<double>(scenario.requests) * options.scale) / 8 * 8;
  std::atomic<std::uint64_t> next{0};
  std::vector<CallerThread> callers;
  for (int i = 0; i < options.threads; ++i) callers.emplace_back(scenario, *endpoint, &next, total);
  std::vector<std::thread> threads;
  for (CallerThread& caller : callers) threads.emplace_back([&caller] { caller.Run(); });
  while (scenario.reloads && next.load() < total) {
    std::string error;
    if (!endpoint->Reload(&error)) Die(scenario, "a reload failed: " + error);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::thread& thread : threads) thread.join();

  Tally sum;
  std::map<std::string, std::set<std::string>> arms_of_keys;
  for (const CallerThread& caller : callers) {
    sum.requests += caller.tally.requests;
    sum.errors += caller.tally.errors;
    sum.responses += caller.tally.responses;
    for (const auto& [code, count] : caller.tally.codes) sum.codes[code] += count;
    for (const auto& [arm, count] : caller.tally.arms) sum.arms[arm] += count;
    for (const auto& [key, arms] : caller.arms_of_keys) {
      arms_of_keys[key].insert(arms.begin(), arms.end());
    }
  }
  for (const auto& [key, arms] : arms_of_keys) {
    if (arms.size() > 1) Die(scenario, "key " + key + " was answered by two arms");
  }
  return sum;
}

// False when the backend does not know the scenario's policy.
bool RunScenario(const Scenario& scenario, const Options& options) {
  std::string error;
  if (!fake::StartBackend(&error)) Die(scenario, error);
  scenario.set_arms();
  std::string line;
  bool accepted = true;
  {
    Endpoint endpoint(scenario);
    if (!endpoint.Reload(&error)) {
      line = "refused " + scenario.name + ": " + error;
      accepted = false;
    } else {
      const auto began = Clock::now();
      const Tally tally = Drive(scenario, options, &endpoint);
      ExpectNothingOfRequests(scenario.name);
      CheckMetrics(scenario, tally);
      if (scenario.check) scenario.check(tally);
      const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
      line = "ok " + scenario.name + ": " + std::to_string(tally.requests) + " requests, " +
             std::to_string(tally.errors) + " errors, " + std::to_string(endpoint.generation()) +
             " loads, " + std::to_string(seconds) + " s";
    }
  }
  fake::StopBackend();
  fake::ForgetArms();
  if (!fake::LiveOfBackend().empty()) Die(scenario, "leaked: " + fake::LiveOfBackend());
  std::puts(line.c_str());
  std::fflush(stdout);
  return accepted;
}

double ResidentMb() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

// Memory after a tenth of the requests and after all of them, over the busiest policies there are.
bool RunFlat(const Scenario& base, std::uint64_t requests, const Options& options) {
  Scenario scenario = base;
  scenario.requests = requests / 10;
  scenario.check = nullptr;
  Options part = options;
  part.scale = 1.0;
  double first = 0;
  for (int tenth = 1; tenth <= 10; ++tenth) {
    if (!RunScenario(scenario, part)) return false;
    if (tenth == 1) first = ResidentMb();
  }
  const double last = ResidentMb();
  std::printf("flat %s: %.1f MB after a tenth of %llu requests, %.1f MB at the end\n",
              scenario.name.c_str(), first, static_cast<unsigned long long>(requests), last);
  constexpr double kMostMb = 8.0;
  if (last - first > kMostMb) Die(scenario, "memory grew");
  return true;
}

// The plain split takes nearly all of them; where arms hang and callers go away it is slower.
bool RunFlat(const Options& options) {
  bool all = true;
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.name == "weighted") all = RunFlat(scenario, options.requests, options) && all;
    if (scenario.name == "everything") all = RunFlat(scenario, options.requests / 40, options) && all;
  }
  return all;
}

bool RunAll(const std::string& name, const Options& options) {
  bool all = true;
  bool found = false;
  for (const Scenario& scenario : Scenarios()) {
    if (name != "all" && name != scenario.name) continue;
    found = true;
    all = RunScenario(scenario, options) && all;
  }
  if (!found) std::fprintf(stderr, "no scenario %s\n", name.c_str());
  return all && found;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  Options options;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--scale") options.scale = std::stod(words[i + 1]);
    if (words[i] == "--threads") options.threads = std::stoi(words[i + 1]);
    if (words[i] == "--requests") options.requests = std::stoull(words[i + 1]);
  }
  fake::Quiet(true);
  if (!words.empty() && words[0] == "list") {
    for (const Scenario& scenario : Scenarios()) std::puts(scenario.name.c_str());
    return 0;
  }
  // 3: everything that ran is well, but the backend refused a policy.
  if (words.size() >= 2 && words[0] == "run") return RunAll(words[1], options) ? 0 : 3;
  if (!words.empty() && words[0] == "faults") return RunFaults() ? 0 : 3;
  if (!words.empty() && words[0] == "flat") return RunFlat(options) ? 0 : 3;
  if (words.size() >= 2 && words[0] == "break") {
    BreakRule(words[1]);
    return 0;
  }
  std::fprintf(stderr, "usage: router_harness list | run <scenario|all> | faults | flat\n");
  return 2;
}
