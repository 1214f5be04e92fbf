// A router that takes the place of others: what Triton 2.51 would not survive meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "router.h"

namespace nereid {

// The server lets the routers of before go once the new one has come, and must not do so while one
// of their threads is not back at its queue (backends/README.md). From the beginning of this their
// requests are given back by the watch, when that is so; and it waits until what their threads did
// before that is over as well. A load that fails leaves them as they were.
class Succession {
 public:
  // Blocks: at least until `settled_ns` after the last of them was loaded.
  Succession(std::vector<std::shared_ptr<Router>> before, std::uint64_t settled_ns);
  ~Succession();
  Succession(const Succession&) = delete;
  Succession& operator=(const Succession&) = delete;

  void Succeed() noexcept { succeeded_ = true; }

 private:
  const std::vector<std::shared_ptr<Router>> before_;
  bool succeeded_ = false;
};

}  // namespace nereid
