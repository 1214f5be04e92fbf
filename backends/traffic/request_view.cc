#include "request_view.h"

#include <charconv>
#include <cstring>

namespace nereid {
namespace {

constexpr char kNumber = '#';
constexpr char kText = '$';

bool Failed(TRITONSERVER_Error* error) { return Error(error) != nullptr; }

bool Render(TRITONSERVER_ParameterType type, const void* value, Value* rendered) noexcept {
  switch (type) {
    case TRITONSERVER_PARAMETER_STRING:
      rendered->text = static_cast<const char*>(value);
      return true;
    case TRITONSERVER_PARAMETER_INT: {
      char* const begin = rendered->digits;
      const auto written = std::to_chars(
          begin, begin + sizeof(rendered->digits), *static_cast<const std::int64_t*>(value));
      rendered->text = std::string_view(begin, static_cast<std::size_t>(written.ptr - begin));
      return true;
    }
    case TRITONSERVER_PARAMETER_BOOL:
      rendered->text = *static_cast<const bool*>(value) ? "true" : "false";
      return true;
    default:
      return false;
  }
}

}  // namespace

RequestView::RequestView(TRITONBACKEND_Request* request) : request_(request) {
  if (Failed(TRITONBACKEND_RequestParameterCount(request, &parameters_))) parameters_ = 0;

  std::uint64_t number = 0;
  const char* text = nullptr;
  if (!Failed(TRITONBACKEND_RequestCorrelationId(request, &number))) {
    if (number == 0) return;
    sequence_.key = kNumber + std::to_string(number);
  } else {
    const bool none = Failed(TRITONBACKEND_RequestCorrelationIdString(request, &text));
    if (none || text == nullptr || *text == '\0') return;
    sequence_.key = kText + std::string(text);
  }
  sequence_.live = true;
  std::uint32_t flags = 0;
  if (Failed(TRITONBACKEND_RequestFlags(request, &flags))) return;
  sequence_.starts = (flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_START) != 0;
  sequence_.ends = (flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_END) != 0;
}

template <typename Matches>
bool RequestView::Find(Matches&& matches, Value* value) const noexcept {
  for (std::uint32_t i = 0; i < parameters_; ++i) {
    const char* key = nullptr;
    TRITONSERVER_ParameterType type = TRITONSERVER_PARAMETER_STRING;
    const void* found = nullptr;
    if (Failed(TRITONBACKEND_RequestParameter(request_, i, &key, &type, &found))) continue;
    if (matches(std::string_view(key))) return Render(type, found, value);
  }
  return false;
}

bool RequestView::Header(std::string_view lower_name, Value* value) const noexcept {
  return Find([&](std::string_view key) { return EqualsLower(key, lower_name); }, value);
}

bool RequestView::Parameter(std::string_view name, Value* value) const noexcept {
  return Find([&](std::string_view key) { return key == name; }, value);
}

bool RequestView::Sequence(Value* value) const noexcept {
  if (!sequence_.live) return false;
  value->text = std::string_view(sequence_.key).substr(1);
  return true;
}

}  // namespace nereid
