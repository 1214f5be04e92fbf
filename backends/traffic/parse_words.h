// The words of one line of policy.txt, and what a word can mean. Free of Triton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nereid {

bool IsPublicName(std::string_view name);
bool IsPhysicalName(std::string_view name);

// What stands in an error message: short and printable whatever the file holds.
std::string Quoted(std::string_view text);

// Digits alone, at most `limit`.
bool ParseNumber(std::string_view text, std::uint64_t limit, std::uint64_t* value);

// Digits with an optional fraction, at most 1e9; no sign, no exponent.
bool ParseDecimal(std::string_view text, double* value);

// Percent-encoded text, in which letters, digits and `_.-~` alone stand for themselves; `""` is the
// empty text.
bool ParseText(std::string_view word, std::string* text);

// The words of a line, read from left to right. The first thing that is wrong becomes the reason,
// and from then on nothing more is read: a parser may look once, at its end.
class LineWords {
 public:
  explicit LineWords(std::string_view line);

  bool Empty() const { return at_ == words_.size(); }
  std::string_view Peek() const { return Empty() ? std::string_view() : words_[at_]; }
  std::string_view keyword() const { return words_[0]; }

  // The next word, whatever it is; `what` is what a missing one is called.
  std::string_view Next(std::string_view what);
  // Reads the word if it comes next.
  bool Take(std::string_view word);
  // The word must come next.
  void Expect(std::string_view word);

  std::uint64_t Number(std::string_view what, std::uint64_t least, std::uint64_t most);
  double Decimal(std::string_view what);
  std::string Text(std::string_view what);

  // A number, or -1 for `-`.
  std::int64_t Bound(std::string_view what);

  void Fail(std::string reason);
  // Nothing was wrong, and no word is left over.
  bool Done();
  bool failed() const { return !reason_.empty(); }
  const std::string& reason() const { return reason_; }

 private:
  std::vector<std::string_view> words_;
  std::size_t at_ = 1;
  std::string reason_;
};

}  // namespace nereid
