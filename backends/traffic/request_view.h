// A caller's request as decisions look at it.
#pragma once

#include <string>

#include "attributes.h"
#include "check.h"

namespace nereid {

// The sequence that a request belongs to. `key` tells numbers from texts: Triton does too.
struct Sequence {
  bool live = false;
  bool starts = false;
  bool ends = false;
  std::string key;
};

// Errors of the interface count as "there is no such value"; CopyRequest meets and reports them.
class RequestView final : public Attributes {
 public:
  explicit RequestView(TRITONBACKEND_Request* request);

  bool Header(std::string_view lower_name, Value* value) const noexcept override;
  bool Parameter(std::string_view name, Value* value) const noexcept override;
  bool Sequence(Value* value) const noexcept override;

  const nereid::Sequence& sequence() const { return sequence_; }

 private:
  template <typename Matches>
  bool Find(Matches&& matches, Value* value) const noexcept;

  TRITONBACKEND_Request* request_;
  std::uint32_t parameters_ = 0;
  nereid::Sequence sequence_;
};

}  // namespace nereid
