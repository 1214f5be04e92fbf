#include "attributes.h"

namespace nereid {

bool EqualsLower(std::string_view any_case, std::string_view lower) noexcept {
  if (any_case.size() != lower.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    char c = any_case[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    if (c != lower[i]) return false;
  }
  return true;
}

bool AttributeList::Header(std::string_view lower_name, Value* value) const noexcept {
  for (const auto& [name, text] : values_) {
    if (!EqualsLower(name, lower_name)) continue;
    value->text = text;
    return true;
  }
  return false;
}

bool AttributeList::Parameter(std::string_view name, Value* value) const noexcept {
  for (const auto& [known, text] : values_) {
    if (known != name) continue;
    value->text = text;
    return true;
  }
  return false;
}

bool AttributeList::Sequence(Value* value) const noexcept {
  value->text = sequence_;
  return has_sequence_;
}

}  // namespace nereid
