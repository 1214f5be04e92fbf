#include "breaker.h"

#include <algorithm>

namespace nereid {
namespace {

constexpr std::uint32_t kProbesToClose = 3;
constexpr std::uint32_t kMaxEjections = 255;
constexpr std::uint64_t kMaxTimeUs = (1ULL << 51) - 1;  // 71 years of uptime

// All there is to know, in 64 bits: so that every change is one compare-and-swap, and no thread can
// see a half of one.
struct Word {
  Breaker::State state = Breaker::State::kClosed;  // 2 bits
  bool probing = false;                            // 1
  std::uint32_t successes = 0;                     // 2: of probes, in a row
  std::uint32_t ejections = 0;                     // 8
  std::uint64_t time_us = 0;                       // 51: open until, or closed since

  static Word Of(std::uint64_t bits) {
    Word word;
    word.state = static_cast<Breaker::State>(bits & 3);
    word.probing = (bits & 4) != 0;
    word.successes = static_cast<std::uint32_t>((bits >> 3) & 3);
    word.ejections = static_cast<std::uint32_t>((bits >> 5) & 255);
    word.time_us = bits >> 13;
    return word;
  }

  std::uint64_t Bits() const {
    return static_cast<std::uint64_t>(state) | (probing ? 4U : 0U) |
           (static_cast<std::uint64_t>(successes) << 3) |
           (static_cast<std::uint64_t>(ejections) << 5) | (time_us << 13);
  }
};

// A bucket of the window: which stretch of time it counts (24 bits, enough to tell it from older
// ones), requests and failures (20 bits each). In one word too, or a count could land in a bucket
// that is just being begun anew.
constexpr std::uint64_t kEpochs = 1 << 24;
constexpr std::uint64_t kMostCounted = (1 << 20) - 1;

struct Bucket {
  std::uint64_t epoch = 0;
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;

  static Bucket Of(std::uint64_t bits) {
    return Bucket{bits >> 40, (bits >> 20) & kMostCounted, bits & kMostCounted};
  }

  std::uint64_t Bits() const { return epoch << 40 | requests << 20 | failures; }
};

std::uint64_t CeilUs(std::uint64_t ns) { return ns / 1000 + (ns % 1000 != 0 ? 1 : 0); }

Word Opened(const BreakerRule& rule, std::uint32_t ejections_before, std::uint64_t now_ns) {
  Word word;
  word.state = Breaker::State::kOpen;
  word.ejections = std::min(ejections_before + 1, kMaxEjections);
  const std::uint64_t open_us =
      std::min(rule.open_ns / 1000 * word.ejections, rule.max_open_ns / 1000);
  word.time_us = std::min(CeilUs(now_ns) + open_us, kMaxTimeUs);
  return word;
}

}  // namespace

Breaker::State Breaker::state() const noexcept {
  return Word::Of(word_.load(std::memory_order_acquire)).state;
}

std::uint32_t Breaker::ejections() const noexcept {
  return Word::Of(word_.load(std::memory_order_acquire)).ejections;
}

bool Breaker::WouldAllow(std::uint64_t now_ns) const noexcept {
  const Word word = Word::Of(word_.load(std::memory_order_acquire));
  if (word.state == State::kClosed) return true;
  return word.state == State::kOpen ? now_ns / 1000 >= word.time_us : !word.probing;
}

Breaker::Pass Breaker::Ask(const BreakerRule&, std::uint64_t now_ns) noexcept {
  std::uint64_t bits = word_.load(std::memory_order_acquire);
  while (true) {
    Word word = Word::Of(bits);
    if (word.state == State::kClosed) return {true, false};
    if (word.state == State::kOpen ? now_ns / 1000 < word.time_us : word.probing) {
      return {false, false};
    }
    if (word.state == State::kOpen) {
      word.state = State::kHalfOpen;
      word.successes = 0;
      word.time_us = 0;
    }
    word.probing = true;
    if (word_.compare_exchange_weak(bits, word.Bits(), std::memory_order_acq_rel)) {
      return {true, true};
    }
  }
}

Breaker::Verdict Breaker::Record(
    const BreakerRule& rule, bool failed, std::uint64_t latency_ns, std::uint64_t now_ns,
    bool probe) noexcept {
  const bool bad = failed || (rule.latency_ns != 0 && latency_ns > rule.latency_ns);
  if (state() != State::kClosed) return probe ? RecordProbe(rule, bad, now_ns) : Verdict{};

  bool reached = false;
  if (rule.consecutive != 0) {
    if (bad) {
      reached = consecutive_.fetch_add(1, std::memory_order_relaxed) + 1 >= rule.consecutive;
    } else if (consecutive_.load(std::memory_order_relaxed) != 0) {
      consecutive_.store(0, std::memory_order_relaxed);
    }
  }
  if (rule.rate_parts != 0 && CountInWindow(rule, bad, now_ns)) reached = true;
  Verdict verdict;
  verdict.opened = reached && Open(rule, now_ns);
  return verdict;
}

bool Breaker::CountInWindow(const BreakerRule& rule, bool failed, std::uint64_t now_ns) noexcept {
  const std::uint64_t epoch = now_ns / (rule.window_ns / kBuckets);
  std::atomic<std::uint64_t>& slot = window_[epoch % kBuckets];
  std::uint64_t bits = slot.load(std::memory_order_relaxed);
  Bucket bucket;
  do {
    bucket = Bucket::Of(bits);
    if (bucket.epoch != epoch % kEpochs) bucket = Bucket{epoch % kEpochs, 0, 0};
    if (bucket.requests == kMostCounted) {  // the rate stays what it is
      bucket.requests /= 2;
      bucket.failures /= 2;
    }
    ++bucket.requests;
    if (failed) ++bucket.failures;
  } while (!slot.compare_exchange_weak(bits, bucket.Bits(), std::memory_order_relaxed));
  return RateReached(rule, epoch);
}

bool Breaker::RateReached(const BreakerRule& rule, std::uint64_t epoch) const noexcept {
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;
  for (const std::atomic<std::uint64_t>& slot : window_) {
    const Bucket bucket = Bucket::Of(slot.load(std::memory_order_relaxed));
    if (((epoch - bucket.epoch) % kEpochs) >= kBuckets) continue;
    requests += bucket.requests;
    failures += bucket.failures;
  }
  return requests >= rule.min_requests && failures * 10'000 >= rule.rate_parts * requests &&
         requests > 0;
}

bool Breaker::Open(const BreakerRule& rule, std::uint64_t now_ns) noexcept {
  std::uint64_t bits = word_.load(std::memory_order_acquire);
  Word opened;
  do {
    const Word word = Word::Of(bits);
    if (word.state != State::kClosed) return false;  // another thread's failure was quicker
    const std::uint64_t now_us = now_ns / 1000;
    const std::uint64_t closed_us = now_us > word.time_us ? now_us - word.time_us : 0;
    const std::uint64_t periods = closed_us / std::max<std::uint64_t>(1, rule.open_ns / 1000);
    const std::uint32_t forgiven =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(periods, word.ejections));
    opened = Opened(rule, word.ejections - forgiven, now_ns);
  } while (!word_.compare_exchange_weak(bits, opened.Bits(), std::memory_order_acq_rel));
  Forget();
  return true;
}

Breaker::Verdict Breaker::RecordProbe(
    const BreakerRule& rule, bool bad, std::uint64_t now_ns) noexcept {
  std::uint64_t bits = word_.load(std::memory_order_acquire);
  while (true) {
    Word word = Word::Of(bits);
    if (word.state != State::kHalfOpen) return {};
    Verdict verdict;
    if (bad) {
      word = Opened(rule, word.ejections, now_ns);
      verdict.opened = true;
    } else {
      word.probing = false;
      if (++word.successes == kProbesToClose) {
        Forget();  // before anybody counts again
        word.state = State::kClosed;
        word.successes = 0;
        word.time_us = std::min(now_ns / 1000, kMaxTimeUs);
        verdict.closed = true;
      }
    }
    if (word_.compare_exchange_weak(bits, word.Bits(), std::memory_order_acq_rel)) return verdict;
  }
}

void Breaker::GiveBack(bool probe) noexcept {
  if (!probe) return;
  std::uint64_t bits = word_.load(std::memory_order_acquire);
  Word word;
  do {
    word = Word::Of(bits);
    if (word.state != State::kHalfOpen) return;
    word.probing = false;
  } while (!word_.compare_exchange_weak(bits, word.Bits(), std::memory_order_acq_rel));
}

void Breaker::Reset() noexcept {
  Forget();
  word_.store(0, std::memory_order_release);
}

void Breaker::Forget() noexcept {
  consecutive_.store(0, std::memory_order_relaxed);
  for (std::atomic<std::uint64_t>& bucket : window_) bucket.store(0, std::memory_order_relaxed);
}

}  // namespace nereid
