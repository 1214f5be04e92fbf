// Copies of requests to arms whose answers nobody waits for, and what their outputs are compared to.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "call.h"
#include "input_copies.h"

namespace nereid {

class Shadows;

// One output of the answer beside the same of the shadow: compared when both are there, on the
// shadows' thread. If either never comes, there is nothing to say.
class Comparison : public std::enable_shared_from_this<Comparison> {
 public:
  Comparison(std::shared_ptr<ArmRecord> arm, std::string output, Shadows* shadows)
      : arm_(std::move(arm)), output_(std::move(output)), shadows_(shadows) {}

  void GiveAnswer(TRITONSERVER_InferenceResponse* response) { Give(0, response); }
  void GiveShadow(TRITONSERVER_InferenceResponse* response) { Give(1, response); }

 private:
  struct Tensor {
    bool there = false;
    int datatype = 0;
    std::vector<std::int64_t> shape;
    std::vector<char> data;
  };

  void Give(std::size_t side, TRITONSERVER_InferenceResponse* response);
  bool Keep(TRITONSERVER_InferenceResponse* response, Tensor* tensor) const;
  void Compare();

  const std::shared_ptr<ArmRecord> arm_;
  const std::string output_;
  Shadows* const shadows_;
  std::mutex mutex_;
  std::array<Tensor, 2> sides_;
};

// The inputs of a request with shadows. They are copied once, on the shadows' thread; if an answer is
// there before that, by the thread that has it, before the caller does.
class ShadowCopies {
 public:
  explicit ShadowCopies(TRITONBACKEND_Request* outer) : outer_(outer) {}

  void Take();

  // Null: there was no room. After Take.
  const char* data() const { return copies_.held() ? copies_.data() : nullptr; }

 private:
  TRITONBACKEND_Request* const outer_;
  std::atomic<bool> taken_{false};
  std::mutex taking_;
  InputCopies copies_;
};

// One shadowed request. Until its inner request is made it holds the caller's request, though not the
// caller's answer.
class Shadow {
 public:
  // Null when the arm's shadows in flight are at their bound: dropped, and counted so.
  static std::unique_ptr<Shadow> Of(Call* call, const ShadowRule& rule);

  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  // Copies and submits; from here on the shadow ends by itself.
  static void Start(std::unique_ptr<Shadow> shadow);

 private:
  Shadow(Call* call, std::shared_ptr<ArmRecord> arm);

  Error Submit(TRITONSERVER_InferenceRequest** inner);
  void LetCallGo();
  void CloseSide();
  static void OnResponse(TRITONSERVER_InferenceResponse*, const std::uint32_t flags, void* userp);
  static void OnReleased(TRITONSERVER_InferenceRequest*, const std::uint32_t flags, void* userp);

  const Open open_;
  Call* call_;  // null when it needs the call no more
  const std::shared_ptr<Router> router_;
  const std::shared_ptr<ArmRecord> arm_;
  std::shared_ptr<Comparison> comparison_;
  const std::shared_ptr<ShadowCopies> copies_;
  std::uint64_t began_ns_ = 0;
  std::atomic<ShadowOutcome> outcome_{ShadowOutcome::kDropped};
  std::atomic<int> open_sides_{2};
};

// The thread that copies, submits and compares, so that no caller's request does.
class Shadows {
 public:
  Shadows();
  ~Shadows();
  Shadows(const Shadows&) = delete;
  Shadows& operator=(const Shadows&) = delete;

  void Push(std::unique_ptr<Shadow> shadow);
  void Push(std::function<void()> work);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;
  bool stop_ = false;
  std::thread thread_;
};

// The shadows this request casts; push them after the request itself was submitted.
std::vector<std::unique_ptr<Shadow>> ShadowsOf(Call* call, const ArmRecord& answering);

}  // namespace nereid
