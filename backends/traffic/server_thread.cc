#include "server_thread.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

namespace nereid {
namespace {

// What the calling thread is known as, and to which router.
struct Known {
  std::uint64_t serial = 0;
  ServerThread* thread = nullptr;
};

thread_local Known known;

std::atomic<std::uint64_t> last_serial{0};

}  // namespace

ServerThread::ServerThread()
    : state_file_("/proc/self/task/" + std::to_string(syscall(SYS_gettid)) + "/stat") {}

bool ServerThread::IsThroughWith(std::uint64_t number) const {
  return entered_.load() > number || (left_.load() >= number && Sleeps());
}

bool ServerThread::Sleeps() const {
  const int file = open(state_file_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;  // it has ended
  char text[512];
  const ssize_t size = read(file, text, sizeof text);
  close(file);
  if (size <= 0) return true;
  // "17 (a name (of any kind)) S 1 ...": the state stands behind the last bracket.
  const std::string_view words(text, static_cast<std::size_t>(size));
  const std::size_t bracket = words.rfind(')');
  return bracket == std::string_view::npos || bracket + 2 >= words.size() ||
         words[bracket + 2] == 'S';
}

ServerThreads::ServerThreads() : serial_(last_serial.fetch_add(1) + 1) {}

ServerThread& ServerThreads::Mine() {
  if (known.serial != serial_) {
    const std::lock_guard<std::mutex> lock(mutex_);
    threads_.push_back(std::make_unique<ServerThread>());
    known = {serial_, threads_.back().get()};
  }
  return *known.thread;
}

std::vector<ServerThread*> ServerThreads::All() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ServerThread*> found;
  for (const auto& thread : threads_) found.push_back(thread.get());
  return found;
}

}  // namespace nereid
