#include "parse_words.h"

#include <locale.h>
#include <stdlib.h>

#include <algorithm>

namespace nereid {
namespace {

constexpr std::size_t kMaxPublicName = 63;
constexpr std::size_t kMaxPhysicalName = 200;
constexpr std::size_t kMaxDecimal = 400;  // characters: 5e-324 takes 326
constexpr double kMaxDecimalValue = 1e9;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); }

bool StandsForItself(char c) {
  return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-' || c == '~';
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool IsPublicName(std::string_view name) {
  if (name.empty() || name.size() > kMaxPublicName) return false;
  if (!IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return IsLowerOrDigit(c) || c == '_' || c == '-';
  });
}

bool IsPhysicalName(std::string_view name) {
  if (name.empty() || name.size() > kMaxPhysicalName || !IsLowerOrDigit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return IsLowerOrDigit(c) || c == '_' || c == '-' || c == '.';
  });
}

std::string Quoted(std::string_view text) {
  std::string shown = "'";
  for (char c : text.substr(0, 60)) shown += (c >= ' ' && c <= '~') ? c : '?';
  return shown + (text.size() > 60 ? "...'" : "'");
}

bool ParseNumber(std::string_view text, std::uint64_t limit, std::uint64_t* value) {
  if (text.empty()) return false;
  std::uint64_t result = 0;
  for (char c : text) {
    if (!IsDigit(c)) return false;
    const std::uint64_t digit = static_cast<std::uint64_t>(c - '0');
    if (digit > limit || result > (limit - digit) / 10) return false;
    result = result * 10 + digit;
  }
  *value = result;
  return true;
}

bool ParseDecimal(std::string_view text, double* value) {
  if (text.empty() || text.size() > kMaxDecimal) return false;
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (whole.empty() || !std::all_of(whole.begin(), whole.end(), IsDigit)) return false;
  if (point != std::string_view::npos) {
    const std::string_view fraction = text.substr(point + 1);
    if (fraction.empty() || !std::all_of(fraction.begin(), fraction.end(), IsDigit)) return false;
  }
  // Not strtod: the server's locale may write a comma. Not a stream: the C++ runtime is linked into
  // the library, and beside another one in the process its locales do not work.
  static const locale_t kPlain = newlocale(LC_ALL_MASK, "C", nullptr);
  if (kPlain == nullptr) return false;
  const double result = strtod_l(std::string(text).c_str(), nullptr, kPlain);
  if (result > kMaxDecimalValue) return false;
  *value = result;
  return true;
}

bool ParseText(std::string_view word, std::string* text) {
  text->clear();
  if (word == "\"\"") return true;
  if (word.empty()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%') {
      if (!StandsForItself(word[i])) return false;
      *text += word[i];
      continue;
    }
    if (i + 2 >= word.size()) return false;
    const int high = HexDigit(word[i + 1]);
    const int low = HexDigit(word[i + 2]);
    if (high < 0 || low < 0) return false;
    *text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

LineWords::LineWords(std::string_view line) {
  std::size_t start = 0;
  while (true) {
    const std::size_t end = line.find(' ', start);
    words_.push_back(line.substr(start, end - start));
    if (words_.back().empty()) {
      Fail("words must be separated by one space, and no line may be empty");
    }
    if (end == std::string_view::npos) return;
    start = end + 1;
  }
}

void LineWords::Fail(std::string reason) {
  if (!failed()) reason_ = std::move(reason);
  at_ = words_.size();
}

bool LineWords::Done() {
  if (!Empty()) Fail("unknown word " + Quoted(Peek()) + " in " + Quoted(keyword()));
  return !failed();
}

std::string_view LineWords::Next(std::string_view what) {
  if (!Empty()) return words_[at_++];
  Fail(Quoted(keyword()) + " lacks " + std::string(what));
  return {};
}

bool LineWords::Take(std::string_view word) {
  if (Empty() || words_[at_] != word) return false;
  ++at_;
  return true;
}

void LineWords::Expect(std::string_view word) {
  if (Take(word)) return;
  if (Empty()) {
    Fail(Quoted(keyword()) + " lacks " + Quoted(word));
  } else {
    Fail("unknown word " + Quoted(Peek()) + " in " + Quoted(keyword()) + ", where " + Quoted(word) +
         " belongs");
  }
}

std::uint64_t LineWords::Number(std::string_view what, std::uint64_t least, std::uint64_t most) {
  const std::string_view word = Next(what);
  std::uint64_t value = least;
  if (failed() || (ParseNumber(word, most, &value) && value >= least)) return value;
  Fail(Quoted(word) + " is no " + std::string(what) + " from " + std::to_string(least) + " to " +
       std::to_string(most));
  return least;
}

double LineWords::Decimal(std::string_view what) {
  const std::string_view word = Next(what);
  double value = 0;
  if (!failed() && !ParseDecimal(word, &value)) {
    Fail(Quoted(word) + " is no " + std::string(what) + " such as 0.25, up to 1000000000");
  }
  return value;
}

std::string LineWords::Text(std::string_view what) {
  const std::string_view word = Next(what);
  std::string text;
  if (!failed() && !ParseText(word, &text)) {
    Fail(Quoted(word) + " is no percent-encoded " + std::string(what));
  }
  return text;
}

std::int64_t LineWords::Bound(std::string_view what) {
  if (Take("-")) return -1;
  return static_cast<std::int64_t>(Number(what, 0, 1'000'000'000'000'000));
}

}  // namespace nereid
