#include "config_words.h"

#include <cctype>
#include <cstddef>

namespace nereid {

std::string ConfigScalar(std::string_view json, const std::string& field) {
  const std::string pattern = "\"" + field + "\":";
  for (std::size_t at = json.find(pattern); at != std::string_view::npos;
       at = json.find(pattern, at + 1)) {
    const std::size_t start = at + pattern.size();
    std::size_t end = start;
    while (end < json.size() && std::isalnum(static_cast<unsigned char>(json[end]))) ++end;
    if (end > start) return std::string(json.substr(start, end - start));
  }
  return "";
}

std::string ConfigText(std::string_view json, const std::string& field) {
  const std::string pattern = "\"" + field + "\":\"";
  const std::size_t at = json.find(pattern);
  if (at == std::string_view::npos) return "";
  std::string text;
  for (std::size_t i = at + pattern.size(); i < json.size(); ++i) {
    if (json[i] == '"') return text;
    if (json[i] == '\\') {
      ++i;
      if (i == json.size() || std::string_view("\"\\/").find(json[i]) == std::string_view::npos) {
        return "";
      }
    }
    text += json[i];
  }
  return "";
}

}  // namespace nereid
