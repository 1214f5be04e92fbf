#include "shadow.h"

#include <cstring>
#include <utility>

#include "compare.h"
#include "copy_request.h"
#include "device_copy.h"
#include "reply.h"
#include "response_output.h"
#include "sampled.h"

namespace nereid {
namespace {

// Outputs above this are not kept for a comparison.
constexpr std::size_t kMostComparedBytes = std::size_t{4} << 20;

// Requests above this cast no shadow: an answer that is quicker than the copy would wait for it.
constexpr std::size_t kMostShadowedBytes = std::size_t{32} << 20;

}  // namespace

void Comparison::Give(std::size_t side, TRITONSERVER_InferenceResponse* response) {
  Tensor tensor;
  if (!Keep(response, &tensor)) return;
  bool both = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sides_[side].there) return;  // a stream's later responses
    sides_[side] = std::move(tensor);
    both = sides_[0].there && sides_[1].there;
  }
  if (both) shadows_->Push([self = shared_from_this()] { self->Compare(); });
}

bool Comparison::Keep(TRITONSERVER_InferenceResponse* response, Tensor* tensor) const {
  ResponseOutput output;
  if (!FindOutput(response, output_, &output) || output.bytes > kMostComparedBytes) return false;
  tensor->datatype = output.datatype;
  tensor->shape.assign(output.shape, output.shape + output.dims);
  tensor->data.resize(output.bytes);
  tensor->there = !CopyBytes(
      tensor->data.data(), TRITONSERVER_MEMORY_CPU, output.base, output.memory, output.bytes);
  return tensor->there;
}

void Comparison::Compare() {
  const auto view = [](const Tensor& tensor) {
    return TensorView{
        tensor.datatype, tensor.shape.data(), tensor.shape.size(), tensor.data.data(),
        tensor.data.size()};
  };
  arm_->metrics->Compared(nereid::Compare(view(sides_[0]), view(sides_[1])));
}

void ShadowCopies::Take() {
  if (taken_.load(std::memory_order_acquire)) return;
  const std::lock_guard<std::mutex> lock(taking_);
  if (taken_.load(std::memory_order_relaxed)) return;
  LogIfError(copies_.Take(outer_, kMostShadowedBytes).release(), "copy a request for its shadows");
  taken_.store(true, std::memory_order_release);
}

Shadow::Shadow(Call* call, std::shared_ptr<ArmRecord> arm)
    : open_(call->router->services),
      call_(call),
      router_(call->router),
      arm_(std::move(arm)),
      copies_(call->shadow_copies) {
  arm_->metrics->Began();
  call_->Hold();
  call_->Refer();
}

Shadow::~Shadow() {
  LetCallGo();
  arm_->shadows.fetch_sub(1, std::memory_order_relaxed);
  arm_->metrics->Shadowed(outcome_.load());
  arm_->metrics->Ended();
}

std::unique_ptr<Shadow> Shadow::Of(Call* call, const ShadowRule& rule) {
  const std::shared_ptr<ArmRecord>& arm = call->router->arms[rule.arm];
  if (arm->shadows.fetch_add(1, std::memory_order_relaxed) >= rule.max_in_flight) {
    arm->shadows.fetch_sub(1, std::memory_order_relaxed);
    arm->metrics->Shadowed(ShadowOutcome::kDropped);
    return nullptr;
  }
  if (!call->shadow_copies) call->shadow_copies = std::make_shared<ShadowCopies>(call->outer);
  std::unique_ptr<Shadow> shadow(new Shadow(call, arm));
  if (!rule.compare.empty()) {
    shadow->comparison_ =
        std::make_shared<Comparison>(arm, rule.compare, call->router->services->shadows);
    call->comparisons.push_back(shadow->comparison_);
  }
  return shadow;
}

void Shadow::LetCallGo() {
  if (call_ == nullptr) return;
  Call* const call = std::exchange(call_, nullptr);
  call->GiveUpHold();
  call->GiveUpReference();
}

void Shadow::Start(std::unique_ptr<Shadow> shadow) {
  TRITONSERVER_InferenceRequest* inner = nullptr;
  const Error error = shadow->Submit(&inner);
  if (!error) {
    static_cast<void>(shadow.release());  // its callbacks end it, or have done so
    return;
  }
  if (inner != nullptr) LogIfError(TRITONSERVER_InferenceRequestDelete(inner), "free a shadow");
}

Error Shadow::Submit(TRITONSERVER_InferenceRequest** inner) {
  copies_->Take();
  if (copies_->data() == nullptr) {
    return MakeError(TRITONSERVER_ERROR_UNAVAILABLE, "no room for a shadow's copies");
  }
  outcome_ = ShadowOutcome::kError;
  if (Error error{TRITONSERVER_InferenceRequestNew(
          inner, router_->server, arm_->model.c_str(), -1)}) {
    *inner = nullptr;
    return error;
  }
  if (Error error = CopyRequest(
          call_->outer, *inner, call_->timeout_us, copies_->data(), nullptr)) {
    return error;
  }
  LetCallGo();
  NEREID_RETURN_IF_ERROR(
      TRITONSERVER_InferenceRequestSetReleaseCallback(*inner, OnReleased, this));
  NEREID_RETURN_IF_ERROR(TRITONSERVER_InferenceRequestSetResponseCallback(
      *inner, router_->services->allocator, nullptr, OnResponse, this));
  outcome_ = ShadowOutcome::kOk;
  began_ns_ = NowNs();
  TRITONSERVER_Server* const server = router_->server;
  // On success the callbacks may have run, and this be gone, before the call returns. No trace goes
  // along: the caller's may have ended, and a copy is none of its business.
  if (Error error{TRITONSERVER_ServerInferAsync(server, *inner, nullptr)}) {
    outcome_ = ShadowOutcome::kError;
    return error;
  }
  return nullptr;
}

void Shadow::CloseSide() {
  if (open_sides_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void Shadow::OnResponse(
    TRITONSERVER_InferenceResponse* given, const std::uint32_t flags, void* userp) {
  Shadow* const shadow = static_cast<Shadow*>(userp);
  {
    const InnerResponse response(given);
    if (response) {
      if (Error error{TRITONSERVER_InferenceResponseError(response.get())}) {
        shadow->outcome_ = ShadowOutcome::kError;
      } else if (shadow->comparison_) {
        shadow->comparison_->GiveShadow(response.get());
      }
    }
  }
  if ((flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) == 0) return;
  shadow->arm_->metrics->ShadowLasted(NowNs() - shadow->began_ns_);
  shadow->CloseSide();
}

void Shadow::OnReleased(
    TRITONSERVER_InferenceRequest* inner, const std::uint32_t flags, void* userp) {
  if ((flags & TRITONSERVER_REQUEST_RELEASE_ALL) == 0) return;
  LogIfError(TRITONSERVER_InferenceRequestDelete(inner), "free a shadow");
  static_cast<Shadow*>(userp)->CloseSide();
}

Shadows::Shadows() : thread_([this] { Run(); }) {}

Shadows::~Shadows() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Shadows::Push(std::unique_ptr<Shadow> shadow) {
  // std::function wants what it holds to be copyable.
  Push([owned = std::make_shared<std::unique_ptr<Shadow>>(std::move(shadow))] {
    Shadow::Start(std::move(*owned));
  });
}

void Shadows::Push(std::function<void()> work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void Shadows::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !work_.empty(); });
    if (work_.empty()) return;
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

std::vector<std::unique_ptr<Shadow>> ShadowsOf(Call* call, const ArmRecord& answering) {
  std::vector<std::unique_ptr<Shadow>> cast;
  Router& router = *call->router;
  const std::vector<ShadowRule>& rules = router.policy.shadows;
  if (rules.empty() || call->sequence) return cast;  // half a sequence would mean nothing to an arm
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (router.arms[rules[i].arm].get() == &answering) continue;
    const std::uint64_t turn = router.shadow_turns[i].fetch_add(1, std::memory_order_relaxed);
    if (!Sampled(turn, rules[i].parts)) continue;
    if (auto shadow = Shadow::Of(call, rules[i])) cast.push_back(std::move(shadow));
  }
  return cast;
}

}  // namespace nereid
