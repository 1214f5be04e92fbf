// The server's own threads for a router, and whether they are through with what they did for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace nereid {

// The thread of one instance. Triton 2.51 stops it by way of a list that the thread is on only while
// it waits for work (backends/README.md): whoever lets a model go has to know that it does again.
class ServerThread {
 public:
  ServerThread();  // the calling one
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  std::uint64_t entered() const noexcept { return entered_.load(); }

  // Whether it waited for work after what it began as `number`: something later has begun, or it has
  // left our code and sleeps.
  bool IsThroughWith(std::uint64_t number) const;

 private:
  friend class Doing;
  bool Sleeps() const;

  const std::string state_file_;
  std::atomic<std::uint64_t> entered_{0};
  std::atomic<std::uint64_t> left_{0};
};

// What such a thread does for the router just now, by its number. On that thread.
class Doing {
 public:
  explicit Doing(ServerThread* by) : thread(by), number(by->entered_.fetch_add(1) + 1) {}
  ~Doing() { thread->left_.store(number); }
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

  ServerThread* const thread;
  const std::uint64_t number;
};

// Those of a router: one for each of its instances.
class ServerThreads {
 public:
  ServerThreads();
  ServerThreads(const ServerThreads&) = delete;
  ServerThreads& operator=(const ServerThreads&) = delete;

  // The calling thread, which is one of them from now on; it lives as long as this does.
  ServerThread& Mine();

  std::vector<ServerThread*> All() const;

 private:
  const std::uint64_t serial_;  // tells this from any other, also one of the same address later
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ServerThread>> threads_;
};

}  // namespace nereid
