// What the harness's two halves share: load from many callers, and faults one at a time.
#pragma once

#include <string>

#include "scenarios.h"

constexpr const char* kEndpoint = "m";
constexpr std::uint64_t kVersion = 1'000'000'000;

[[noreturn]] void Die(const Scenario& scenario, const std::string& what);

// What is alive of requests goes away when arms that ignore a cancel are done, and no sooner.
void ExpectNothingOfRequests(const std::string& where);

// Every interface call of every scenario fails once. False when a policy was refused.
bool RunFaults();

// Breaks one rule of the interface, by name; returns only if that went unnoticed.
void BreakRule(const std::string& rule);
