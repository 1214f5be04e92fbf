// What a policy may ask of a request, behind an interface that is free of Triton.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nereid {

// A value as bytes. `text` may point into `digits`, so a Value is filled in place, never copied.
struct Value {
  Value() = default;
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;

  std::string_view text;
  char digits[24];
};

// One request. A string is its bytes, an integer its decimal text, a bool "true" or "false"; a
// parameter of another type counts as absent. False: the request has no such value.
class Attributes {
 public:
  virtual ~Attributes() = default;
  // The parameter whose name is `lower_name` without regard to case: headers arrive as parameters.
  virtual bool Header(std::string_view lower_name, Value* value) const noexcept = 0;
  virtual bool Parameter(std::string_view name, Value* value) const noexcept = 0;
  // The correlation id; false when the request is of no sequence.
  virtual bool Sequence(Value* value) const noexcept = 0;
};

// True when `any_case` is `lower` but for the case of A to Z. Bytes beyond ASCII are compared as
// they are.
bool EqualsLower(std::string_view any_case, std::string_view lower) noexcept;

// Attributes from a list, where no server stands behind: tests and benchmarks.
class AttributeList : public Attributes {
 public:
  void Add(std::string_view name, std::string_view value) { values_.emplace_back(name, value); }
  void SetSequence(std::string_view id) {
    sequence_ = id;
    has_sequence_ = true;
  }

  bool Header(std::string_view lower_name, Value* value) const noexcept override;
  bool Parameter(std::string_view name, Value* value) const noexcept override;
  bool Sequence(Value* value) const noexcept override;

 private:
  std::vector<std::pair<std::string_view, std::string_view>> values_;
  std::string_view sequence_;
  bool has_sequence_ = false;
};

}  // namespace nereid
