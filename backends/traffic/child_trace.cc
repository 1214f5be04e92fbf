#include "child_trace.h"

#include "check.h"

namespace nereid {

TRITONSERVER_InferenceTrace* ChildTrace(TRITONBACKEND_Request* outer) {
  TRITONSERVER_InferenceTrace* parent = nullptr;
  TRITONSERVER_InferenceTrace* child = nullptr;
  // A server that was built without traces says so each time: no caller has to hear of it.
  const Error unknown(TRITONBACKEND_RequestTrace(outer, &parent));
  if (unknown || parent == nullptr) return nullptr;
  const Error untold(TRITONSERVER_InferenceTraceSpawnChildTrace(parent, &child));
  return untold ? nullptr : child;
}

}  // namespace nereid
