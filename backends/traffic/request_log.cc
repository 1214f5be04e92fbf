#include "request_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "key_hash.h"

namespace nereid {
namespace {

// At 100,000 requests a second the ring holds a third of a second.
constexpr std::uint64_t kRing = 32'768;
constexpr auto kPeriod = std::chrono::milliseconds(100);

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

struct Entry {
  std::uint64_t hash = 0;
  std::uint64_t what = 0;
};

std::uint64_t CheckOf(std::uint64_t turn, std::uint64_t hash, std::uint64_t arm) {
  return ((turn + 1) * kGolden) ^ hash ^ (arm << 48);
}

std::uint64_t UnixMs() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

off_t SetAt(std::uint64_t set) {
  return static_cast<off_t>(
      RequestLog::kHeader + RequestLog::kNames * RequestLog::kName +
      set * RequestLog::kWays * sizeof(Entry));
}

bool ReadAll(int file, void* into, std::size_t size, off_t at) {
  return pread(file, into, size, at) == static_cast<ssize_t>(size);
}

bool WriteAll(int file, const void* from, std::size_t size, off_t at) {
  return pwrite(file, from, size, at) == static_cast<ssize_t>(size);
}

std::string Problem(const char* verb) { return std::string(verb) + ": " + std::strerror(errno); }

}  // namespace

std::unique_ptr<RequestLog> RequestLog::Open(
    const std::string& path, std::uint64_t requests,
    std::function<void(const std::string&)> complain, std::string* reason) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    *reason = Problem("cannot be opened");
    return nullptr;
  }
  std::uint64_t sets = 1;
  while (sets * kWays < requests && sets < (std::uint64_t{1} << 28)) sets *= 2;
  std::unique_ptr<RequestLog> log(new RequestLog(file, sets, std::move(complain)));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    *reason = "another server writes it";
    return nullptr;
  }
  if (!log->Begin(reason)) return nullptr;
  log->thread_ = std::thread([own = log.get()] { own->Run(); });
  return log;
}

RequestLog::RequestLog(
    int file, std::uint64_t sets, std::function<void(const std::string&)> complain)
    : file_(file), sets_(sets), complain_(std::move(complain)), ring_(kRing) {}

RequestLog::~RequestLog() {
  if (thread_.joinable()) {
    {
      const std::lock_guard<std::mutex> lock(sleeping_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
    Flush();
  }
  close(file_);
}

// A file of this shape is gone on with; any other is made anew.
bool RequestLog::Begin(std::string* reason) {
  char header[kHeader] = {};
  std::memcpy(header, kMagic, sizeof kMagic - 1);
  std::memcpy(header + 32, &sets_, sizeof sets_);
  std::memcpy(header + 40, &kNames, sizeof kNames);
  char found[kHeader] = {};
  struct stat status {};
  const off_t size = SetAt(sets_);
  const bool same = fstat(file_, &status) == 0 && status.st_size == size &&
                    ReadAll(file_, found, kHeader, 0) &&
                    std::memcmp(header, found, kHeader) == 0;
  if (same && ReadNames()) return true;
  names_.assign(1, "");
  // Room is taken at once: a disk that is full is found here, and not at a request.
  if (ftruncate(file_, 0) != 0) {
    *reason = Problem("cannot be emptied");
    return false;
  }
  if (const int error = posix_fallocate(file_, 0, size); error != 0) {
    *reason = std::string("has no room: ") + std::strerror(error);
    return false;
  }
  if (!WriteAll(file_, header, kHeader, 0)) {
    *reason = Problem("cannot be written");
    return false;
  }
  return true;
}

// False where they cannot be read, or are so many that soon none would be left.
bool RequestLog::ReadNames() {
  std::vector<char> table(kNames * kName);
  if (!ReadAll(file_, table.data(), table.size(), kHeader)) return false;
  names_.assign(1, "");
  for (std::uint64_t i = 1; i < kNames; ++i) {
    const char* const name = table.data() + i * kName;
    if (*name == '\0') break;
    names_.emplace_back(name, strnlen(name, kName - 1));
  }
  return names_.size() < kNames / 4 * 3;
}

std::uint16_t RequestLog::Arm(const std::string& name) {
  const std::lock_guard<std::mutex> lock(flushing_);
  const auto found = std::find(names_.begin() + 1, names_.end(), name);
  if (found != names_.end()) return static_cast<std::uint16_t>(found - names_.begin());
  if (names_.size() >= kNames || name.empty() || name.size() >= kName) return 0;
  char place[kName] = {};
  std::memcpy(place, name.data(), name.size());
  if (!WriteAll(file_, place, kName, static_cast<off_t>(kHeader + names_.size() * kName))) return 0;
  names_.push_back(name);
  return static_cast<std::uint16_t>(names_.size() - 1);
}

std::uint64_t RequestLog::EndpointSeed(std::string_view name) noexcept { return Xxh64(name, 0); }

void RequestLog::Note(
    std::uint64_t endpoint, std::string_view request_id, std::uint16_t arm) noexcept {
  if (arm == 0) return;
  const std::uint64_t hash = std::max<std::uint64_t>(1, Xxh64(request_id, endpoint));
  const std::uint64_t turn = head_.fetch_add(1, std::memory_order_relaxed);
  Slot& slot = ring_[turn % kRing];
  slot.hash.store(hash, std::memory_order_relaxed);
  slot.arm.store(arm, std::memory_order_relaxed);
  // Of this turn and of both values: where two threads met in a slot, one lap apart, it is wrong.
  slot.check.store(CheckOf(turn, hash, arm), std::memory_order_release);
}

bool RequestLog::TakeOut(
    std::uint64_t turn, std::uint64_t* hash, std::uint16_t* arm) const noexcept {
  const Slot& slot = ring_[turn % kRing];
  const std::uint64_t check = slot.check.load(std::memory_order_acquire);
  *hash = slot.hash.load(std::memory_order_relaxed);
  *arm = static_cast<std::uint16_t>(slot.arm.load(std::memory_order_relaxed));
  return check == CheckOf(turn, *hash, *arm);
}

void RequestLog::Flush() {
  const std::lock_guard<std::mutex> lock(flushing_);
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_) return;
  const std::uint64_t unix_ms = UnixMs();
  std::uint64_t lost = 0;
  if (head - tail_ > kRing) {
    lost = head - tail_ - kRing;
    tail_ = head - kRing;
  }
  for (; tail_ != head; ++tail_) {
    std::uint64_t hash = 0;
    std::uint16_t arm = 0;
    if (TakeOut(tail_, &hash, &arm)) {
      Write(hash, arm, unix_ms);
    } else if (waited_for_ != tail_) {
      waited_for_ = tail_;  // a thread is at it just now, or was overtaken
      break;
    } else {
      ++lost;
    }
  }
  lost_.fetch_add(lost, std::memory_order_relaxed);
}

void RequestLog::Write(std::uint64_t hash, std::uint16_t arm, std::uint64_t unix_ms) {
  if (failed_) return;
  Entry set[kWays];
  const off_t at = SetAt((hash >> 32) & (sets_ - 1));
  if (!ReadAll(file_, set, sizeof set, at)) return Fail("cannot be read");
  Entry* place = std::find_if(
      std::begin(set), std::end(set), [&](const Entry& entry) { return entry.hash == hash; });
  if (place == std::end(set)) {
    place = std::min_element(std::begin(set), std::end(set), [](const Entry& a, const Entry& b) {
      return a.what < b.what;  // the oldest; what was never written is 0
    });
  }
  *place = {hash, unix_ms << 16 | arm};
  const off_t place_at = at + static_cast<off_t>((place - set) * sizeof(Entry));
  if (!WriteAll(file_, place, sizeof(Entry), place_at)) Fail("cannot be written");
}

void RequestLog::Fail(const char* verb) {
  failed_ = true;
  complain_(Problem(verb));
}

void RequestLog::Run() {
  while (true) {
    {
      std::unique_lock<std::mutex> lock(sleeping_);
      wake_.wait_for(lock, kPeriod, [this] { return stop_; });
      if (stop_) return;
    }
    Flush();
  }
}

}  // namespace nereid
