// Reads policy.txt line by line. What a kind of line holds is in parse_arms, parse_request_rules and
// parse_protection. Free of Triton.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "parse_words.h"
#include "policy.h"

namespace nereid {

class PolicyParser {
 public:
  PolicyParser(Policy* policy, PolicyError* error) : policy_(policy), error_(error) {}

  bool Parse(std::string_view text);

 private:
  struct Keyword {
    std::string_view name;
    int rank;  // lines stand in this order
    bool many;
    void (PolicyParser::*read)(LineWords* words);
  };
  static const Keyword kKeywords[];

  bool Fail(std::string reason);
  bool ParseLine(std::string_view line);
  bool InItsPlace(const Keyword& keyword);
  bool CheckComplete();
  bool CheckOverflow();

  void ReadEndpoint(LineWords* words);
  void ReadGeneration(LineWords* words);
  // parse_arms.cc
  void ReadArm(LineWords* words);
  void ReadArmOptions(LineWords* words, Arm* arm);
  void ReadAllowance(LineWords* words);
  void ReadSlots(LineWords* words);
  std::size_t ReadArmIndex(LineWords* words);
  // parse_request_rules.cc
  void ReadSticky(LineWords* words);
  void ReadRule(LineWords* words);
  void ReadAnd(LineWords* words);
  void ReadShadow(LineWords* words);
  void ReadConfidence(LineWords* words);
  // parse_protection.cc
  void ReadBreaker(LineWords* words);
  void ReadSlowStart(LineWords* words);
  void ReadRescue(LineWords* words);
  void ReadObjective(LineWords* words);
  void ReadSequences(LineWords* words);

  Policy* policy_;
  PolicyError* error_;
  std::size_t line_ = 0;
  const Keyword* last_ = nullptr;
  std::vector<std::string_view> seen_;
  std::vector<std::size_t> arm_lines_;
  bool has_primary_ = false;
};

}  // namespace nereid
