// Single values out of Triton's own compact JSON. Free of Triton.
#pragma once

#include <string>
#include <string_view>

namespace nereid {

// The number or word that follows `"<field>":`, or "". Inside a JSON string the quotes would be
// escaped, so the pattern cannot occur in one; what starts an object (a parameter of that name) is
// passed over.
std::string ConfigScalar(std::string_view json, const std::string& field);

// The same of a text; "" too where it has an escape beyond those of quotes and slashes.
std::string ConfigText(std::string_view json, const std::string& field);

}  // namespace nereid
