// C entry points to the log of who answered, alone and from many threads.

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config_words.h"
#include "entry.h"
#include "request_log.h"

// Null where the file cannot be had; `reason` says why.
NEREID_EXPORT nereid::RequestLog* nereid_log_open(
    nereid_text path, std::uint64_t requests, char* reason, std::size_t size) {
  std::string why;
  auto log = nereid::RequestLog::Open(
      std::string(path.view()), requests, [](const std::string&) {}, &why);
  if (!log && size > 0) {
    std::strncpy(reason, why.c_str(), size - 1);
    reason[size - 1] = '\0';
  }
  return log.release();
}

NEREID_EXPORT void nereid_log_delete(nereid::RequestLog* log) { delete log; }

NEREID_EXPORT std::uint16_t nereid_log_arm(nereid::RequestLog* log, nereid_text name) {
  return log->Arm(std::string(name.view()));
}

NEREID_EXPORT void nereid_log_note(
    nereid::RequestLog* log, nereid_text endpoint, nereid_text id, std::uint16_t arm) {
  log->Note(nereid::RequestLog::EndpointSeed(endpoint.view()), id.view(), arm);
}

NEREID_EXPORT void nereid_log_flush(nereid::RequestLog* log) { log->Flush(); }

// Requests `<thread>-<n>` of each thread, answered by the arm at place 1 + thread; how many were lost.
NEREID_EXPORT std::uint64_t nereid_stress_log(
    nereid::RequestLog* log, nereid_text endpoint, std::size_t threads, std::size_t requests) {
  const std::uint64_t seed = nereid::RequestLog::EndpointSeed(endpoint.view());
  std::vector<std::thread> running;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    running.emplace_back([=] {
      for (std::size_t i = 0; i < requests; ++i) {
        const std::string id = std::to_string(thread) + "-" + std::to_string(i);
        log->Note(seed, id, static_cast<std::uint16_t>(1 + thread));
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  log->Flush();
  return log->lost();
}

NEREID_EXPORT std::size_t nereid_config_text(
    nereid_text json, nereid_text field, char* buffer, std::size_t size) {
  const std::string text = nereid::ConfigText(json.view(), std::string(field.view()));
  if (size > 0) {
    std::strncpy(buffer, text.c_str(), size - 1);
    buffer[size - 1] = '\0';
  }
  return text.size();
}
