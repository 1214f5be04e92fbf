// Owning and reporting the errors of the C interface: none is dropped unseen.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "abi.h"

namespace nereid {

struct ErrorDeleter {
  void operator()(TRITONSERVER_Error* error) const { TRITONSERVER_ErrorDelete(error); }
};
// Null means success.
using Error = std::unique_ptr<TRITONSERVER_Error, ErrorDeleter>;

inline Error MakeError(TRITONSERVER_Error_Code code, const std::string& message) {
  return Error(TRITONSERVER_ErrorNew(code, message.c_str()));
}

// For calls whose failure nobody can be answered with: it is logged, with what was attempted.
void LogIfError(TRITONSERVER_Error* error, const char* attempted);
void Log(TRITONSERVER_LogLevel level, const std::string& message);

std::uint64_t NowNs();

}  // namespace nereid

#define NEREID_RETURN_IF_ERROR(call)                \
  do {                                              \
    if (TRITONSERVER_Error* failed__ = (call)) {    \
      return ::nereid::Error(failed__);             \
    }                                               \
  } while (false)
