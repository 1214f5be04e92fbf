// Faults, one at a time: whatever call fails, the caller is answered once and nothing leaks.
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>

#include "harness.h"

[[noreturn]] void Die(const Scenario& scenario, const std::string& what) {
  fake::Violation(scenario.name + ": " + what + "\n" + fake::MetricsText("nereid_requests_total"));
}

void ExpectNothingOfRequests(const std::string& where) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!fake::LiveOfRequests().empty()) {
    if (std::chrono::steady_clock::now() > deadline) {
      fake::Violation(where + ": leaked: " + fake::LiveOfRequests());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

namespace {

// One request through a router whose interface fails once (or always, in one function).
void OneWithFault(const Scenario& scenario, const fake::ModelPointer& model, std::uint64_t n,
                  const std::string& fault) {
  const std::shared_ptr<fake::Caller> caller = fake::Infer(model, scenario.request(n));
  if (scenario.cancel_one_in != 0) caller->Cancel();
  caller->Wait(5);
  fake::FailAlways("");
  ExpectNothingOfRequests(scenario.name + ", " + fault);
}

constexpr std::int64_t kMostCalls = 3000;

// A failure of each call that a request makes, then of all calls of each function.
std::size_t FaultsOfRequests(const Scenario& scenario, std::set<std::string>* functions) {
  std::string error;
  std::size_t faults = 0;
  const fake::ModelPointer model =
      fake::Load(kEndpoint, kVersion, PolicyOf(scenario, 1), scenario.decoupled, &error);
  if (model == nullptr) Die(scenario, error);
  for (std::uint64_t variant = 0; variant < 12; ++variant) {
    for (std::int64_t k = 1; k < kMostCalls; ++k) {
      fake::FailNth(k);
      OneWithFault(scenario, model, variant, "call " + std::to_string(k));
      const std::string failed = fake::FailedFunction();
      fake::FailNth(0);
      if (failed.empty()) break;
      functions->insert(failed);
      ++faults;
    }
  }
  for (const std::string& function : *functions) {
    for (std::uint64_t variant = 0; variant < 12; ++variant) {
      fake::FailAlways(function);
      OneWithFault(scenario, model, variant, "no " + function);
      ++faults;
    }
  }
  return faults;
}

// A failure of each call that starting, loading, unloading and stopping make.
std::size_t FaultsOfLoads(const Scenario& scenario) {
  std::size_t faults = 0;
  for (std::int64_t k = 1; k < kMostCalls; ++k) {
    fake::FailNth(k);
    std::string error;
    if (fake::StartBackend(&error)) {
      {
        fake::ModelPointer model =
            fake::Load(kEndpoint, kVersion, PolicyOf(scenario, 1), scenario.decoupled, &error);
      }
      fake::StopBackend();
    }
    const bool reached = !fake::FailedFunction().empty();
    const std::string failed = fake::FailedFunction();
    fake::FailNth(0);
    if (!fake::LiveOfBackend().empty()) {
      Die(scenario, "loading with call " + std::to_string(k) + " (" + failed +
                        ") made to fail leaked: " + fake::LiveOfBackend());
    }
    if (!reached) return faults;
    ++faults;
  }
  Die(scenario, "loading makes more calls than were tried");
}

}  // namespace

bool RunFaults() {
  fake::Quiet(true);
  fake::HangAtMost(50'000);
  bool all = true;
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.name == "large" || scenario.name == "everything" || scenario.name == "limits") {
      continue;   // nothing in them that the others lack, with one request at a time
    }
    scenario.set_arms();
    std::string error;
    if (!fake::StartBackend(&error)) Die(scenario, error);
    const bool accepted = fake::Load(
        kEndpoint, kVersion, PolicyOf(scenario, 1), scenario.decoupled, &error) != nullptr;
    if (!accepted) {
      fake::StopBackend();
      std::printf("refused %s: %s\n", scenario.name.c_str(), error.c_str());
      all = false;
      continue;
    }
    std::set<std::string> functions;
    const std::size_t in_requests = FaultsOfRequests(scenario, &functions);
    fake::StopBackend();
    const std::size_t in_loads = FaultsOfLoads(scenario);
    fake::ForgetArms();
    std::printf("ok %s: %zu faults in requests, of %zu functions; %zu in loads\n",
                scenario.name.c_str(), in_requests, functions.size(), in_loads);
    std::fflush(stdout);
  }
  return all;
}
