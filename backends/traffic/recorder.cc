#include "recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <exception>
#include <fstream>
#include <system_error>
#include <utility>

#include "sampled.h"

namespace nereid {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(250);
constexpr std::size_t kIdLength = 32;
constexpr std::size_t kMostAskedBytes = 1024;

std::int64_t UnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Problem(const char* verb) { return std::string(verb) + ": " + std::strerror(errno); }

// The id of a file's name with that suffix, or "".
std::string IdOf(std::string_view name, std::string_view suffix) {
  if (name.size() != kIdLength + suffix.size() || name.substr(kIdLength) != suffix) return "";
  const std::string_view id = name.substr(0, kIdLength);
  const bool hex = id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return hex ? std::string(id) : "";
}

// The names in a folder; false where it cannot be read, which is not the same as empty.
bool Names(const std::string& folder, std::vector<std::string>* names) {
  DIR* const listing = opendir(folder.c_str());
  if (listing == nullptr) return false;
  errno = 0;
  while (const dirent* entry = readdir(listing)) names->emplace_back(entry->d_name);
  const bool whole = errno == 0;
  closedir(listing);
  return whole;
}

// What follows `word` and a space in the next line of the text, which is taken off it; "" where the
// line begins with another word.
std::string_view TakeLine(std::string_view* text, std::string_view word) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(text->size(), line.size() + 1));
  const bool fits = line.substr(0, word.size()) == word && line.substr(word.size(), 1) == " ";
  return fits ? line.substr(word.size() + 1) : std::string_view();
}

// No streams for numbers: beside another copy of their library in the process they find no facets.
template <typename Number>
bool TakeNumber(std::string_view* text, std::string_view word, Number* number) {
  const std::string_view digits = TakeLine(text, word);
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, *number);
  return !digits.empty() && read.ec == std::errc() && read.ptr == end;
}

bool ReadAsk(std::string_view text, RecordingAsked* asked) {
  if (TakeLine(&text, Recorder::kAsked) != Recorder::kVersion) return false;
  asked->endpoint = TakeLine(&text, "endpoint");
  return !asked->endpoint.empty() && TakeNumber(&text, "requests", &asked->requests) &&
         TakeNumber(&text, "bytes", &asked->bytes) && TakeNumber(&text, "parts", &asked->parts) &&
         TakeNumber(&text, "until", &asked->until_unix_ms) &&
         asked->bytes <= Recorder::kMostBytes && asked->parts <= kParts;
}

bool WriteAll(int file, const char* from, std::size_t size) {
  while (size > 0) {
    const ssize_t written = write(file, from, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    from += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace

bool Recording::Wants() noexcept {
  if (full_.load(std::memory_order_relaxed)) return false;
  return Sampled(turn_.fetch_add(1, std::memory_order_relaxed), asked_.parts);
}

bool Recording::Reserve(std::size_t bytes) noexcept {
  // Both in one order with the recorder's, which sets full_ and then looks at pending_: either it
  // waits for this record, or there is none.
  pending_.fetch_add(1);
  const bool fits =
      !full_.load() &&
      requests_.fetch_add(1, std::memory_order_relaxed) < asked_.requests &&
      bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= asked_.bytes;
  if (fits) {
    if (requests_.load(std::memory_order_relaxed) >= asked_.requests) full_ = true;
    return true;
  }
  full_ = true;
  Arrived();
  return false;
}

void Recording::Put(std::vector<char> record) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    records_.push_back(std::move(record));
  }
  Arrived();
}

void Recording::GiveUp(std::size_t bytes) noexcept {
  requests_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  Arrived();
}

std::vector<std::vector<char>> Recording::TakeOut() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(records_, {});
}

bool Recording::Ended(std::int64_t unix_ms) const noexcept {
  return full_.load(std::memory_order_relaxed) || unix_ms >= asked_.until_unix_ms;
}

Recorder::Recorder(std::string asked, std::string recorded, Place place, bool looks_by_itself)
    : asked_(std::move(asked)), recorded_(std::move(recorded)), place_(std::move(place)) {
  if (looks_by_itself) thread_ = std::thread([this] { Run(); });
}

Recorder::~Recorder() {
  if (thread_.joinable()) {
    {
      const std::lock_guard<std::mutex> lock(sleeping_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  for (auto& [id, kept] : kept_) {
    if (kept.recording) place_(kept.recording->endpoint(), nullptr);
    if (kept.file >= 0) close(kept.file);
  }
}

void Recorder::Look(std::int64_t unix_ms) {
  std::map<std::string, std::string> asked;
  if (!ReadAsked(&asked)) return;  // not there yet, or not to be read: nothing is deleted for it
  for (auto it = kept_.begin(); it != kept_.end();) {
    const auto wanted = asked.find(it->first);
    Kept& kept = it->second;
    if (wanted != asked.end()) {
      RecordingAsked now;
      // An ask that was written anew with an earlier end is how a recording is stopped.
      const bool stopped = ReadAsk(wanted->second, &now) && unix_ms >= now.until_unix_ms;
      if (kept.recording && stopped) kept.recording->full_ = true;
      GoOn(it->first, &kept, unix_ms);
      ++it;
      continue;
    }
    if (kept.recording) place_(kept.recording->endpoint(), nullptr);
    if (kept.file >= 0) close(kept.file);
    it = kept_.erase(it);
  }
  for (const auto& [id, text] : asked) {
    if (kept_.count(id) == 0) Begin(id, text, unix_ms);
  }
  Forget(asked);
}

bool Recorder::ReadAsked(std::map<std::string, std::string>* found) const {
  std::vector<std::string> names;
  if (!Names(asked_, &names)) return false;
  for (const std::string& name : names) {
    const std::string id = IdOf(name, ".ask");
    if (id.empty()) continue;
    std::ifstream file(asked_ + "/" + name, std::ios::binary);
    std::string text(kMostAskedBytes, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    found->emplace(id, text);
  }
  return true;
}

void Recorder::Begin(const std::string& id, const std::string& text, std::int64_t unix_ms) {
  Kept& kept = kept_[id];
  struct stat status {};
  for (const char* suffix : {".done", ".failed"}) {
    if (stat(At(id, suffix).c_str(), &status) == 0) return;  // it was over before we came
  }
  RecordingAsked asked;
  if (!ReadAsk(text, &asked)) return Fail(id, "what was asked cannot be read");
  if (unix_ms >= asked.until_unix_ms) {
    const bool lost = stat(At(id, ".part").c_str(), &status) == 0;
    return Fail(
        id, lost ? "the server started anew, and what was recorded is gone"
                 : "its time was up before the server took it up");
  }
  if (!IsFree(asked.endpoint)) return Fail(id, "another recording of the endpoint goes on");
  const int file = open(
      At(id, ".part").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return Fail(id, Problem("its file cannot be made"));
  kept.file = file;
  kept.recording = std::make_shared<Recording>(asked);
  if (!WriteAll(file, kMagic, sizeof kMagic - 1)) {
    return End(id, &kept, Problem("its file cannot be written"));
  }
  place_(asked.endpoint, kept.recording);
  GoOn(id, &kept, unix_ms);
}

void Recorder::GoOn(const std::string& id, Kept* kept, std::int64_t unix_ms) {
  if (!kept->recording) return;
  const bool ended = kept->recording->Ended(unix_ms);
  if (ended) {
    kept->recording->full_ = true;
    place_(kept->recording->endpoint(), nullptr);
  }
  // Idle first: what comes to be idle after it was looked at is written at the next look.
  const bool idle = kept->recording->Idle();
  for (const std::vector<char>& record : kept->recording->TakeOut()) {
    if (!WriteAll(kept->file, record.data(), record.size())) {
      return End(id, kept, Problem("its file cannot be written"));
    }
  }
  if (ended && idle) End(id, kept, "");
}

void Recorder::End(const std::string& id, Kept* kept, const std::string& problem) {
  place_(kept->recording->endpoint(), nullptr);
  kept->recording->full_ = true;
  kept->recording.reset();
  const bool closed = close(std::exchange(kept->file, -1)) == 0;
  if (!problem.empty()) return Fail(id, problem);
  if (!closed || rename(At(id, ".part").c_str(), At(id, ".done").c_str()) != 0) {
    Fail(id, Problem("its file cannot be kept"));
  }
}

void Recorder::Fail(const std::string& id, const std::string& problem) {
  unlink(At(id, ".part").c_str());
  std::ofstream(At(id, ".failed")) << problem;
}

// What nobody asks for any more is nobody's business: also what a server before this one left.
void Recorder::Forget(const std::map<std::string, std::string>& asked) {
  std::vector<std::string> names;
  if (!Names(recorded_, &names)) return;
  for (const std::string& name : names) {
    for (const char* suffix : {".part", ".done", ".failed"}) {
      const std::string id = IdOf(name, suffix);
      if (!id.empty() && asked.count(id) == 0) unlink((recorded_ + "/" + name).c_str());
    }
  }
}

bool Recorder::IsFree(const std::string& endpoint) const {
  return std::none_of(kept_.begin(), kept_.end(), [&](const auto& one) {
    return one.second.recording && one.second.recording->endpoint() == endpoint;
  });
}

std::string Recorder::At(const std::string& id, const char* suffix) const {
  return recorded_ + "/" + id + suffix;
}

void Recorder::Run() {
  while (true) {
    try {
      Look(UnixMs());
    } catch (const std::exception&) {
      // No memory: the next look may have some.
    }
    std::unique_lock<std::mutex> lock(sleeping_);
    wake_.wait_for(lock, kPeriod, [this] { return stop_; });
    if (stop_) return;
  }
}

}  // namespace nereid
