#include "describe.h"

#include <cstdio>
#include <string_view>

namespace nereid {
namespace {

class Json {
 public:
  void Open(std::string_view name, char bracket) {
    Name(name);
    text_ += bracket;
    first_ = true;
  }
  void Close(char bracket) {
    text_ += bracket;
    first_ = false;
  }
  void Number(std::string_view name, std::int64_t value) { Raw(name, std::to_string(value)); }
  void Unsigned(std::string_view name, std::uint64_t value) { Raw(name, std::to_string(value)); }
  void Decimal(std::string_view name, double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    Raw(name, digits);
  }
  void Text(std::string_view name, std::string_view value) { Raw(name, Quote(value)); }
  const std::string& text() const { return text_; }

 private:
  void Raw(std::string_view name, const std::string& value) {
    Name(name);
    text_ += value;
  }
  void Name(std::string_view name) {
    if (!first_) text_ += ',';
    first_ = false;
    if (!name.empty()) text_ += Quote(name) + ':';
  }
  static std::string Quote(std::string_view value) {
    std::string quoted = "\"";
    for (char c : value) {
      if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
        quoted += escaped;
      } else {
        quoted += c;
      }
    }
    return quoted + '"';
  }

  std::string text_;
  bool first_ = true;
};

void Write(const Arm& arm, Json* json) {
  json->Open("", '{');
  json->Text("model", arm.model);
  json->Decimal("cost", arm.cost);
  json->Decimal("accuracy", arm.accuracy);
  json->Number("capacity", arm.capacity);
  json->Number("max_in_flight", arm.max_in_flight);
  json->Number("overflow", arm.overflow);
  json->Unsigned("timeout_us", arm.timeout_us);
  if (arm.allowance) {
    json->Open("allowance", '{');
    json->Text("grant", arm.allowance->grant);
    json->Number("attempts", arm.allowance->attempts);
    json->Number("failures", arm.allowance->failures);
    json->Number("until_unix_ms", arm.allowance->until_unix_ms);
    json->Close('}');
  }
  json->Close('}');
}

void Write(const Rule& rule, Json* json) {
  json->Open("", '{');
  json->Unsigned("arm", rule.arm);
  json->Open("conditions", '[');
  for (const Condition& condition : rule.conditions) {
    json->Open("", '{');
    json->Number("source", static_cast<int>(condition.source));
    json->Text("name", condition.name);
    json->Number("test", static_cast<int>(condition.test));
    json->Open("values", '[');
    for (const std::string& value : condition.values) json->Text("", value);
    json->Close(']');
    json->Close('}');
  }
  json->Close(']');
  json->Close('}');
}

void WriteRequestRules(const Policy& policy, Json* json) {
  json->Open("sticky", '{');
  json->Number("key", static_cast<int>(policy.sticky.key));
  json->Text("name", policy.sticky.name);
  json->Text("salt", policy.sticky.salt);
  json->Unsigned("seed", policy.sticky.seed);
  json->Close('}');
  json->Open("rules", '[');
  for (const Rule& rule : policy.rules) Write(rule, json);
  json->Close(']');
  json->Open("shadows", '[');
  for (const ShadowRule& shadow : policy.shadows) {
    json->Open("", '{');
    json->Unsigned("arm", shadow.arm);
    json->Number("parts", shadow.parts);
    json->Number("max_in_flight", shadow.max_in_flight);
    json->Text("compare", shadow.compare);
    json->Close('}');
  }
  json->Close(']');
  if (policy.confidence) {
    json->Open("confidence", '{');
    json->Text("output", policy.confidence->output);
    json->Number("scores", static_cast<int>(policy.confidence->scores));
    json->Close('}');
  }
}

void WriteProtection(const Policy& policy, Json* json) {
  if (policy.breaker) {
    json->Open("breaker", '{');
    json->Number("consecutive", policy.breaker->consecutive);
    json->Number("rate_parts", policy.breaker->rate_parts);
    json->Number("min_requests", policy.breaker->min_requests);
    json->Unsigned("window_ns", policy.breaker->window_ns);
    json->Unsigned("open_ns", policy.breaker->open_ns);
    json->Unsigned("max_open_ns", policy.breaker->max_open_ns);
    json->Unsigned("latency_ns", policy.breaker->latency_ns);
    json->Close('}');
  }
  if (policy.slow_start) {
    json->Open("slow_start", '{');
    json->Unsigned("window_ns", policy.slow_start->window_ns);
    json->Decimal("aggression", policy.slow_start->aggression);
    json->Close('}');
  }
  if (policy.rescue) {
    json->Open("rescue", '{');
    json->Number("budget_parts", policy.rescue->budget_parts);
    json->Number("floor", policy.rescue->floor);
    json->Close('}');
  }
  if (policy.objective) {
    json->Open("objective", '{');
    json->Decimal("alpha", policy.objective->alpha);
    json->Decimal("beta", policy.objective->beta);
    json->Decimal("gamma", policy.objective->gamma);
    json->Decimal("delta", policy.objective->delta);
    json->Number("explore_parts", policy.objective->explore_parts);
    json->Close('}');
  }
}

}  // namespace

std::string Describe(const Policy& policy) {
  Json json;
  json.Open("", '{');
  json.Text("endpoint", policy.endpoint);
  json.Unsigned("generation", policy.generation);
  json.Open("arms", '[');
  for (const Arm& arm : policy.arms) Write(arm, &json);
  json.Close(']');
  json.Unsigned("primary", policy.primary);
  json.Open("slots", '[');
  for (const std::uint8_t slot : policy.slots) json.Number("", slot);
  json.Close(']');
  WriteRequestRules(policy, &json);
  WriteProtection(policy, &json);
  json.Open("sequences", '{');
  json.Number("cut", policy.sequences.cut ? 1 : 0);
  json.Unsigned("idle_ns", policy.sequences.idle_ns);
  json.Close('}');
  json.Close('}');
  return json.text();
}

}  // namespace nereid
