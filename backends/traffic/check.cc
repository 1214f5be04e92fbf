#include "check.h"

#include <chrono>

namespace nereid {

void Log(TRITONSERVER_LogLevel level, const std::string& message) {
  // A failure to log cannot be logged.
  Error unloggable(TRITONSERVER_LogMessage(level, "traffic", 0, message.c_str()));
}

void LogIfError(TRITONSERVER_Error* error, const char* attempted) {
  if (error == nullptr) return;
  const Error owned(error);
  Log(TRITONSERVER_LOG_ERROR,
      std::string("could not ") + attempted + ": " + TRITONSERVER_ErrorMessage(owned.get()));
}

std::uint64_t NowNs() {
  // The clock that Triton's statistics ask for.
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace nereid
