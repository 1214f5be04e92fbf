// What the C entry points share. They are for tests and other languages, in a library of their own:
// the backend's library only loads inside the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "arm_state.h"
#include "decide.h"
#include "picker.h"
#include "policy.h"

#define NEREID_EXPORT extern "C" __attribute__((visibility("default")))

// Bytes with their length: keys and values may hold anything.
struct nereid_text {
  const char* data;
  std::size_t size;

  std::string_view view() const { return std::string_view(data, size); }
};

// What stays when a router is loaded anew.
struct nereid_endpoint {
  std::map<std::string, std::unique_ptr<nereid::ArmState>> arms;
  bool had_router = false;
};

struct nereid_router {
  nereid::Policy policy;
  std::unique_ptr<nereid_endpoint> own;
  std::unique_ptr<nereid::Picker> picker;
  std::unique_ptr<nereid::Decider> decider;
  std::vector<nereid::ArmState*> states;
  std::vector<std::shared_ptr<nereid::Grant>> grants;

  // What becomes of an attempt: true when it opened the arm's breaker.
  bool End(
      std::size_t arm, nereid::ArmState::Judgement judgement, std::uint64_t latency_ns,
      std::uint64_t now_ns, bool probe) {
    if (grants[arm]) grants[arm]->Settle(true, judgement == nereid::ArmState::Judgement::kBad);
    const bool opened = states[arm]->Judge(policy, judgement, latency_ns, now_ns, probe);
    states[arm]->Finish();
    return opened;
  }
};
