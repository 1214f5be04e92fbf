// What the harness runs: a policy, arms that behave in some way, callers, and what must come out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fake_triton.h"

// The sums over all callers of one run.
struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::uint64_t responses = 0;
  std::map<int, std::uint64_t> codes;
  std::map<std::string, std::uint64_t> arms;   // the arm named in the last response
};

struct Scenario {
  std::string name;
  std::string arms;       // the `arm` lines
  std::string rest;       // from `allowance` on; `slots` included
  std::function<void()> set_arms;
  // What each caller sends; `n` counts from 0 over all threads.
  std::function<fake::RequestShape(std::uint64_t n)> request;
  bool decoupled = false;
  std::uint64_t cancel_one_in = 0;
  bool reloads = true;
  std::uint64_t requests = 20000;
  // What must hold in the end, beyond what always must. Dies by fake::Violation.
  std::function<void(const Tally&)> check = {};
  // Shadows run on this arm: what it was given is no attempt.
  std::string shadow_arm = {};
  // Callers with the same key (as `key_of` gives it) must be answered by one arm.
  std::function<std::string(std::uint64_t n)> key_of = {};
};

const std::vector<Scenario>& Scenarios();
std::string PolicyOf(const Scenario& scenario, std::uint64_t generation);
