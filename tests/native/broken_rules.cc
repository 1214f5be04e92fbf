// Breaks the interface's rules on purpose, one at a time: the fake server has to notice each.
#include <cstdio>

#include "fake_objects.h"
#include "harness.h"

namespace {

struct Outer {
  std::shared_ptr<fake::Caller> caller = std::make_shared<fake::Caller>();
  TRITONBACKEND_Request* request = nullptr;

  Outer() {
    auto made = std::make_unique<fake::Request>(fake::Kind::kOuterRequest);
    made->caller = caller;
    request = reinterpret_cast<TRITONBACKEND_Request*>(made.release());
  }
};

void Answer(TRITONBACKEND_Request* request) {
  TRITONBACKEND_Response* response = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ResponseNew(&response, request));
  TRITONSERVER_ErrorDelete(
      TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, nullptr));
}

void Release(TRITONBACKEND_Request* request) {
  TRITONSERVER_ErrorDelete(
      TRITONBACKEND_RequestRelease(request, TRITONSERVER_REQUEST_RELEASE_ALL));
}

}  // namespace

void BreakRule(const std::string& rule) {
  const Outer outer;
  Answer(outer.request);
  if (rule == "answer-twice") Answer(outer.request);
  if (rule == "keep-request") outer.caller->Wait(0.1);
  Release(outer.request);
  if (rule == "use-after-release") {
    const char* id = nullptr;
    TRITONSERVER_ErrorDelete(TRITONBACKEND_RequestId(outer.request, &id));
  }
  if (rule == "leak-error") {
    TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, "nobody deletes this");
    ExpectNothingOfRequests(rule);
  }
  std::printf("nobody noticed: %s\n", rule.c_str());
}
