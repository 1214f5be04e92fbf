// A small C entry point to the parts that are free of Triton, for tests and for other languages.
// It is built into a library of its own: the backend's library only loads inside the server.

#include <cstring>
#include <string>

#include "picker.h"
#include "policy.h"

#define NEREID_EXPORT extern "C" __attribute__((visibility("default")))

struct nereid_router {
  nereid::Policy policy;
  nereid::Picker picker;
};

// A router, or null with the line number and the reason written to where the caller says.
NEREID_EXPORT nereid_router* nereid_router_new(
    const char* text, size_t size, uint64_t seed, size_t* line, char* reason, size_t reason_size) {
  nereid::Policy policy;
  nereid::PolicyError error;
  if (!nereid::ParsePolicy(std::string_view(text, size), &policy, &error)) {
    *line = error.line;
    std::strncpy(reason, error.reason.c_str(), reason_size - 1);
    reason[reason_size - 1] = '\0';
    return nullptr;
  }
  return new nereid_router{policy, nereid::Picker(policy.slots, seed)};
}

NEREID_EXPORT void nereid_router_delete(nereid_router* router) { delete router; }

NEREID_EXPORT size_t nereid_router_arms(const nereid_router* router) {
  return router->policy.arms.size();
}

NEREID_EXPORT const char* nereid_router_arm(const nereid_router* router, size_t index) {
  return router->policy.arms[index].model.c_str();
}

NEREID_EXPORT size_t nereid_router_primary(const nereid_router* router) {
  return router->policy.primary;
}

NEREID_EXPORT uint64_t nereid_router_generation(const nereid_router* router) {
  return router->policy.generation;
}

NEREID_EXPORT void nereid_router_pick(nereid_router* router, uint8_t* arms, size_t count) {
  for (size_t i = 0; i < count; ++i) arms[i] = router->picker.Next();
}
