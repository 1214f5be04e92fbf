// C entry points to a router: its policy, its decisions, and what becomes of its arms.

#include "entry.h"

#include <algorithm>
#include <cstring>

#include "describe.h"

namespace {

struct nereid_decision {
  std::uint32_t arm;
  std::uint32_t chosen;
  std::uint32_t diverted;
  std::uint32_t probe;
  std::uint32_t rejected;
};

struct nereid_arm_state {
  std::int64_t in_flight;
  double latency_ns;
  std::uint32_t breaker;
  std::uint32_t ejections;
  std::int64_t attempts_left;
  std::int64_t failures_left;
  std::uint64_t ramp_from_ns;
  std::uint64_t turn;
  std::uint32_t receiving;
  std::uint32_t allowance_gives;  // without a look at its deadline
};

void CopyText(const std::string& text, char* buffer, std::size_t size) {
  if (size == 0) return;
  const std::size_t length = std::min(size - 1, text.size());
  std::memcpy(buffer, text.data(), length);
  buffer[length] = '\0';
}

void AdoptStates(
    nereid_router* router, nereid_endpoint* endpoint, std::int64_t unix_ms, std::uint64_t now_ns) {
  for (auto& known : endpoint->arms) {
    const auto& arms = router->policy.arms;
    if (std::none_of(arms.begin(), arms.end(), [&](const nereid::Arm& arm) {
          return arm.model == known.first;
        })) {
      known.second->Leave();
    }
  }
  for (std::size_t i = 0; i < router->policy.arms.size(); ++i) {
    auto& state = endpoint->arms[router->policy.arms[i].model];
    if (!state) state = std::make_unique<nereid::ArmState>();
    router->grants.push_back(
        state->Adopt(router->policy, i, unix_ms, now_ns, !endpoint->had_router));
    router->states.push_back(state.get());
  }
  endpoint->had_router = true;
}

}  // namespace

NEREID_EXPORT nereid_endpoint* nereid_endpoint_new() { return new nereid_endpoint; }

NEREID_EXPORT void nereid_endpoint_delete(nereid_endpoint* endpoint) { delete endpoint; }

// A router over the states of `endpoint` (null: over fresh ones of its own), or null with the line
// number and the reason written to where the caller says.
NEREID_EXPORT nereid_router* nereid_router_new(
    nereid_endpoint* endpoint, nereid_text text, std::uint64_t seed, std::int64_t unix_ms,
    std::uint64_t now_ns, std::size_t* line, char* reason, std::size_t reason_size) {
  auto router = std::make_unique<nereid_router>();
  nereid::PolicyError error;
  if (!nereid::ParsePolicy(text.view(), &router->policy, &error)) {
    *line = error.line;
    CopyText(error.reason, reason, reason_size);
    return nullptr;
  }
  if (endpoint == nullptr) {
    router->own = std::make_unique<nereid_endpoint>();
    endpoint = router->own.get();
  }
  AdoptStates(router.get(), endpoint, unix_ms, now_ns);
  router->picker = std::make_unique<nereid::Picker>(router->policy.slots, seed);
  router->decider = std::make_unique<nereid::Decider>(router->policy, router->states, seed);
  router->decider->Adopt(router->grants);
  return router.release();
}

NEREID_EXPORT void nereid_router_delete(nereid_router* router) { delete router; }

// The policy as JSON; the bytes it takes, whether or not they fit.
NEREID_EXPORT std::size_t nereid_router_describe(
    const nereid_router* router, char* buffer, std::size_t size) {
  const std::string text = nereid::Describe(router->policy);
  CopyText(text, buffer, size);
  return text.size() + 1;
}

NEREID_EXPORT void nereid_router_pick(
    nereid_router* router, std::uint8_t* arms, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) arms[i] = router->picker->Next();
}

NEREID_EXPORT void nereid_router_decide(
    nereid_router* router, const nereid_text* names, const nereid_text* values, std::size_t count,
    const nereid_text* sequence, std::uint64_t now_ns, nereid_decision* result) {
  nereid::AttributeList attributes;
  for (std::size_t i = 0; i < count; ++i) attributes.Add(names[i].view(), values[i].view());
  if (sequence != nullptr) attributes.SetSequence(sequence->view());
  const nereid::Decision decision = router->decider->Decide(attributes, now_ns);
  result->arm = static_cast<std::uint32_t>(decision.arm);
  result->chosen = static_cast<std::uint32_t>(decision.chosen);
  result->diverted = static_cast<std::uint32_t>(decision.diverted);
  result->probe = decision.probe ? 1 : 0;
  result->rejected = decision.rejected ? 1 : 0;
}

// Many requests without attributes, one after the other, each answered well before the next one.
NEREID_EXPORT void nereid_router_run(
    nereid_router* router, std::size_t count, std::uint64_t now_ns, std::uint64_t latency_ns,
    std::uint8_t* arms) {
  const nereid::AttributeList attributes;
  for (std::size_t i = 0; i < count; ++i) {
    const nereid::Decision decision = router->decider->Decide(attributes, now_ns);
    arms[i] = static_cast<std::uint8_t>(decision.arm);
    if (decision.rejected) continue;
    router->End(
        decision.arm, nereid::ArmState::Judgement::kGood, latency_ns, now_ns, decision.probe);
  }
}

NEREID_EXPORT bool nereid_router_end(
    nereid_router* router, std::size_t arm, int judgement, std::uint64_t latency_ns,
    std::uint64_t now_ns, bool probe) {
  return router->End(
      arm, static_cast<nereid::ArmState::Judgement>(judgement), latency_ns, now_ns, probe);
}

NEREID_EXPORT void nereid_router_arm_state(
    const nereid_router* router, std::size_t arm, nereid_arm_state* result) {
  const nereid::ArmState& state = *router->states[arm];
  result->in_flight = state.in_flight.load();
  result->latency_ns = state.latency.value_ns();
  result->breaker = static_cast<std::uint32_t>(state.breaker.state());
  result->ejections = state.breaker.ejections();
  const std::shared_ptr<nereid::Grant>& grant = router->grants[arm];
  result->attempts_left = grant ? grant->attempts_left() : -1;
  result->failures_left = grant ? grant->failures_left() : -1;
  result->allowance_gives = !grant || grant->Gives(0) ? 1 : 0;
  result->ramp_from_ns = state.ramp_from_ns.load();
  result->turn = state.turn.load();
  result->receiving = state.receiving.load() ? 1 : 0;
}

// Puts an arm under load, and gives it its first latency.
NEREID_EXPORT void nereid_router_load_arm(
    nereid_router* router, std::size_t arm, std::int64_t in_flight, std::uint64_t latency_ns) {
  router->states[arm]->in_flight.store(in_flight);
  if (latency_ns != 0) router->states[arm]->latency.Record(latency_ns, 0);
}

NEREID_EXPORT void nereid_router_scores(
    const nereid_router* router, double* scores, std::uint64_t now_ns) {
  router->decider->Scores(scores, now_ns);
}
