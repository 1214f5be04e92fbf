// Callers' requests, kept in files where somebody asked for it. Free of Triton.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace nereid {

// What a file `<id>.ask` says, in the order in which it says it.
struct RecordingAsked {
  std::string endpoint;
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint32_t parts = 0;  // of 10,000 requests so many are recorded
  std::int64_t until_unix_ms = 0;
};

// One recording of one endpoint. It takes requests until it has so many of them, so many bytes, or
// its time is up; from then on no more.
class Recording {
 public:
  explicit Recording(RecordingAsked asked) : asked_(std::move(asked)) {}

  // Whether the next request is one of those that are recorded.
  bool Wants() noexcept;

  // Room for a record of so many bytes, which has to be followed by Put or by GiveUp. Where there is
  // none the recording has ended.
  bool Reserve(std::size_t bytes) noexcept;
  void Put(std::vector<char> record);
  // Of a record that there is none of: others may have its room, unless it was the last.
  void GiveUp(std::size_t bytes) noexcept;

  // Whether nobody said yet that requests cannot be copied: once a recording is enough.
  bool IsFirstToTell() noexcept { return !told_.exchange(true, std::memory_order_relaxed); }

  const std::string& endpoint() const { return asked_.endpoint; }

 private:
  friend class Recorder;

  std::vector<std::vector<char>> TakeOut();
  bool Ended(std::int64_t unix_ms) const noexcept;
  bool Idle() const noexcept { return pending_.load() == 0; }
  void Arrived() noexcept { pending_.fetch_sub(1, std::memory_order_release); }

  const RecordingAsked asked_;
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::int64_t> pending_{0};  // reserved, and on their way
  std::atomic<bool> full_{false};
  std::atomic<bool> told_{false};
  std::mutex mutex_;
  std::vector<std::vector<char>> records_;
};

// Where the requests of an endpoint look whether they are recorded: one load where they are not.
class RecordingPlace {
 public:
  std::shared_ptr<Recording> Now() const {
    if (!on_.load(std::memory_order_relaxed)) return nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    return recording_;
  }
  void Set(std::shared_ptr<Recording> recording) {
    const std::lock_guard<std::mutex> lock(mutex_);
    recording_ = std::move(recording);
    on_.store(recording_ != nullptr, std::memory_order_relaxed);
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> on_{false};
  std::shared_ptr<Recording> recording_;
};

// Looks a few times a second into a folder that the node writes, `asked`, and writes into another
// one, `recorded`. What it does follows from the files alone, so either side may be killed at any
// moment:
//   asked/<id>.ask         kAsked and kVersion, and a line each for what RecordingAsked has
//   recorded/<id>.part     what was recorded so far
//   recorded/<id>.done     all of it
//   recorded/<id>.failed   why there is none
// A recording whose ask is gone is deleted. A server that starts again begins its recordings anew, or
// says that they are gone where their time is up.
//
// A file is kMagic, and records. A record is, in the machine's byte order:
//   u64 its bytes after this field, i64 the time in milliseconds, u32 inputs, u32 0, and of each input
//   u32 bytes of its name, u32 Triton's datatype, u32 dimensions, u32 0, u64 bytes of its data,
//   i64 each dimension, its name, its data
class Recorder {
 public:
  static constexpr char kMagic[] = "nereid recorded 1\n";
  static constexpr char kAsked[] = "nereid record";
  static constexpr char kVersion[] = "1";
  // No recording may be larger, whatever an ask says.
  static constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

  // `place` is told what is recorded of an endpoint from now on, null: nothing; from the recorder's
  // own thread.
  using Place = std::function<void(const std::string& endpoint, std::shared_ptr<Recording>)>;

  Recorder(std::string asked, std::string recorded, Place place, bool looks_by_itself = true);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // One look, as its thread takes one a few times a second.
  void Look(std::int64_t unix_ms);

 private:
  struct Kept {
    std::shared_ptr<Recording> recording;  // null: it is over, or could not begin
    int file = -1;
  };

  bool ReadAsked(std::map<std::string, std::string>* found) const;
  void Begin(const std::string& id, const std::string& text, std::int64_t unix_ms);
  void GoOn(const std::string& id, Kept* kept, std::int64_t unix_ms);
  void End(const std::string& id, Kept* kept, const std::string& problem);
  void Forget(const std::map<std::string, std::string>& asked);
  void Fail(const std::string& id, const std::string& problem);
  bool IsFree(const std::string& endpoint) const;
  std::string At(const std::string& id, const char* suffix) const;
  void Run();

  const std::string asked_;
  const std::string recorded_;
  const Place place_;
  std::map<std::string, Kept> kept_;  // of the thread that looks

  std::mutex sleeping_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;  // the last: it uses all the others
};

}  // namespace nereid
