// Which arm answered which request: a file of fixed size that others may read. Free of Triton.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace nereid {

// Noting a request takes some nanoseconds and never waits: it goes into a ring, from where a thread
// of the log's own writes it to the file a moment later. A ring that is lapped loses the oldest.
//
// The file is a hash table of sets of eight entries, in the machine's byte order:
//   header   64 bytes: kMagic, then as 64-bit numbers the sets, and the places for names
//   names    kName bytes each: arms, ended by a NUL; the first has no name
//   sets     of 8 entries of 16 bytes: the request's hash, and (milliseconds << 16 | the arm's place)
// A request stands in the set of its hash's upper part, where it took the place of the oldest. A
// hash of 0 is no entry. What was written before a restart of the server is kept.
class RequestLog {
 public:
  static constexpr char kMagic[] = "nereid answered 1\n";
  static constexpr std::size_t kHeader = 64;
  static constexpr std::size_t kName = 128;
  static constexpr std::uint64_t kNames = 4096;
  static constexpr std::size_t kWays = 8;

  // Null and a reason where the file cannot be had; room for at least so many requests. `complain`
  // is told once, by any thread, when it cannot be written any more.
  static std::unique_ptr<RequestLog> Open(
      const std::string& path, std::uint64_t requests,
      std::function<void(const std::string&)> complain, std::string* reason);
  ~RequestLog();
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  // The place of an arm's name, for Note; 0 where there is none left, and of it nothing is noted.
  std::uint16_t Arm(const std::string& name);

  // `endpoint` is EndpointSeed of the endpoint's name.
  void Note(std::uint64_t endpoint, std::string_view request_id, std::uint16_t arm) noexcept;
  static std::uint64_t EndpointSeed(std::string_view name) noexcept;

  // Writes what was noted, as its thread does all the time.
  void Flush();
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  struct alignas(32) Slot {
    std::atomic<std::uint64_t> hash{0};
    std::atomic<std::uint64_t> arm{0};
    std::atomic<std::uint64_t> check{0};
  };

  RequestLog(int file, std::uint64_t sets, std::function<void(const std::string&)> complain);
  bool Begin(std::string* reason);
  bool ReadNames();
  void Run();
  bool TakeOut(std::uint64_t turn, std::uint64_t* hash, std::uint16_t* arm) const noexcept;
  void Write(std::uint64_t hash, std::uint16_t arm, std::uint64_t unix_ms);
  void Fail(const char* verb);

  const int file_;
  const std::uint64_t sets_;
  const std::function<void(const std::string&)> complain_;
  std::vector<Slot> ring_;
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::atomic<std::uint64_t> lost_{0};

  std::mutex flushing_;  // what follows is under it
  std::uint64_t tail_ = 0;
  std::uint64_t waited_for_ = ~std::uint64_t{0};  // a turn that was not noted to its end last time
  bool failed_ = false;
  std::vector<std::string> names_;

  std::mutex sleeping_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;  // the last: it uses all the others
};

}  // namespace nereid
