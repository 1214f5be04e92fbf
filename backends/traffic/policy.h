// A router's policy, as the control plane writes it into policy.txt. Free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nereid {

constexpr std::size_t kSlots = 10000;
constexpr std::size_t kMaxArms = 64;

struct Arm {
  std::string model;
};

struct Policy {
  std::string endpoint;
  std::uint64_t generation = 0;
  std::vector<Arm> arms;
  std::size_t primary = 0;
  std::vector<std::uint8_t> slots;  // kSlots entries: the arm of each slot
};

struct PolicyError {
  std::size_t line = 0;  // from 1
  std::string reason;
};

// True and `policy` filled, or false and `error` filled. A keyword this version does not know is an
// error: a router that ignored half of a policy would route wrongly and say nothing.
bool ParsePolicy(std::string_view text, Policy* policy, PolicyError* error);

}  // namespace nereid
