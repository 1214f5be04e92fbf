#include "scenarios.h"

#include <atomic>
#include <memory>

using fake::Behaviour;
using fake::RequestShape;
using fake::Violation;

namespace {

constexpr const char* kPrimary = "m.v1.aaaaaa";
constexpr const char* kCanary = "m.v2.bbbbbb";
constexpr const char* kThird = "m.v3.cccccc";
constexpr const char* kFourth = "m.v4.dddddd";

// Every way in which an arm may answer well: at once, later, apart, released in any order.
Behaviour Well(std::uint64_t n) {
  Behaviour behaviour;
  behaviour.release = static_cast<Behaviour::Release>(n % 3);
  behaviour.at_once = n % 7 == 0;
  behaviour.final_apart = n % 5 == 0;
  behaviour.delay_us = n % 11 == 0 ? 300 : 0;
  return behaviour;
}

Behaviour Badly(std::uint64_t n) {
  Behaviour behaviour = Well(n);
  behaviour.responses = 0;
  behaviour.error = n % 2 == 0 ? TRITONSERVER_ERROR_INTERNAL : TRITONSERVER_ERROR_UNAVAILABLE;
  behaviour.submit_fails = n % 6 == 5;
  return behaviour;
}

void GoodPair() {
  fake::SetArm(kPrimary, Well);
  fake::SetArm(kCanary, Well);
}

RequestShape Plain(std::uint64_t n) {
  RequestShape shape;
  shape.id = n % 3 == 0 ? "request-" + std::to_string(n) : "";
  shape.input_bytes = n % 50 == 0 ? 0 : 64;
  shape.pieces = n % 4 == 0 ? 3 : 1;
  shape.fill = static_cast<char>('a' + n % 26);
  shape.priority = n % 2;
  shape.timeout_us = n % 9 == 0 ? 5'000'000 : 0;
  shape.traced = n % 5 == 0;
  if (n % 3 == 0) shape.parameters["x-tenant-name"] = "tenant-" + std::to_string(n % 17);
  return shape;
}

std::string Pair(const std::string& canary_words = "", const std::string& primary_words = "") {
  return "arm " + std::string(kPrimary) + " primary" + primary_words + "\narm " + kCanary +
         canary_words + "\n";
}

void Expect(bool holds, const std::string& what) {
  if (!holds) Violation(what);
}

void NoErrors(const Tally& tally) {
  Expect(tally.errors == 0, std::to_string(tally.errors) + " callers were told of an error");
}

Scenario Weighted() {
  Scenario s{"weighted", Pair(), "slots 0:9000 1:1000\n", GoodPair, Plain};
  s.check = NoErrors;
  return s;
}

Scenario Large() {
  Scenario s{"large", Pair(), "slots 0:5000 1:5000\n", nullptr, nullptr};
  s.set_arms = GoodPair;
  s.request = [](std::uint64_t n) {
    RequestShape shape = Plain(n);
    shape.input_bytes = 1 << 20;
    return shape;
  };
  s.requests = 400;
  s.check = NoErrors;
  return s;
}

// Copied back for the caller, and ahead for a shadow and an arm with a timeout.
Scenario OnDevice() {
  Scenario s{"on-device", Pair(" timeout_us 10000000"),
             "slots 0:10000\nshadow 1 parts 3000 max_in_flight 6 compare y\n", GoodPair, nullptr};
  s.request = [](std::uint64_t n) {
    RequestShape shape = Plain(n);
    shape.on_device = n % 3 != 0;
    return shape;
  };
  s.shadow_arm = kCanary;
  s.check = NoErrors;
  return s;
}

Scenario Errors() {
  Scenario s{"errors", Pair(), "slots 0:5000 1:5000\n", nullptr, Plain};
  s.set_arms = [] {
    fake::SetArm(kPrimary, [](std::uint64_t n) { return n % 3 == 0 ? Badly(n) : Well(n); });
    fake::SetArm(kCanary, Badly);
  };
  s.check = [](const Tally& tally) {
    Expect(tally.errors > tally.requests / 2, "the arms' errors did not reach the callers");
  };
  return s;
}

Scenario AbsentArm() {
  Scenario s{"absent", Pair(), "slots 0:5000 1:5000\n", nullptr, Plain};
  s.set_arms = [] { fake::SetArm(kPrimary, Well); };
  s.check = [](const Tally& tally) {
    Expect(tally.codes.count(TRITONSERVER_ERROR_UNAVAILABLE) == 1 && tally.codes.size() == 1,
           "an absent arm is UNAVAILABLE and nothing else");
  };
  return s;
}

Scenario Decoupled() {
  Scenario s{"decoupled", Pair(), "slots 0:5000 1:5000\n", nullptr, Plain};
  s.decoupled = true;
  s.set_arms = [] {
    const auto many = [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.responses = static_cast<int>(n % 6);
      if (n % 13 == 0) behaviour.error = TRITONSERVER_ERROR_INTERNAL;
      return behaviour;
    };
    fake::SetArm(kPrimary, many);
    fake::SetArm(kCanary, many);
  };
  s.check = [](const Tally& tally) {
    Expect(tally.responses > tally.requests, "responses of decoupled arms got lost");
  };
  return s;
}

Scenario Cancelled() {
  Scenario s{"cancelled", Pair(), "slots 0:5000 1:5000\n", nullptr, Plain};
  s.cancel_one_in = 1;
  s.requests = 3000;
  s.set_arms = [] {
    const auto waits = [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.at_once = false;
      behaviour.until_cancelled = true;
      return behaviour;
    };
    fake::SetArm(kPrimary, waits);
    fake::SetArm(kCanary, waits);
  };
  s.check = [](const Tally& tally) {
    const auto told = tally.codes.find(TRITONSERVER_ERROR_CANCELLED);
    Expect(told != tally.codes.end() && told->second == tally.requests,
           "not every cancelled caller was told so");
  };
  return s;
}

Scenario CancelledAtRandom() {
  Scenario s{"cancelled-at-random", Pair(), "slots 0:5000 1:5000\n", nullptr, Plain};
  s.cancel_one_in = 3;
  s.set_arms = [] {
    const auto waits = [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.delay_us = n % 5 * 400;
      return behaviour;
    };
    fake::SetArm(kPrimary, waits);
    fake::SetArm(kCanary, waits);
  };
  return s;
}

Scenario Rescued() {
  Scenario s{"rescued", Pair(), "slots 0:5000 1:5000\nrescue budget 10000 floor 1000000\n",
             nullptr, Plain};
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, Badly);
  };
  s.check = [](const Tally& tally) {
    NoErrors(tally);
    Expect(fake::CountsOf(kCanary).submitted > tally.requests / 4, "the canary got nothing");
  };
  return s;
}

Scenario RescuedAbsent() {
  Scenario s{"rescued-absent", Pair(), "slots 0:5000 1:5000\nrescue budget 10000 floor 1000000\n",
             nullptr, Plain};
  s.set_arms = [] { fake::SetArm(kPrimary, Well); };
  s.check = NoErrors;
  return s;
}

Scenario BothFail() {
  Scenario s{"both-fail", Pair(), "slots 0:5000 1:5000\nrescue budget 10000 floor 1000000\n",
             nullptr, Plain};
  s.set_arms = [] {
    fake::SetArm(kPrimary, Badly);
    fake::SetArm(kCanary, Badly);
  };
  s.check = [](const Tally& tally) {
    Expect(tally.errors == tally.requests, "an error of both arms is the caller's to see");
  };
  return s;
}

Scenario Broken() {
  Scenario s{"breaker", Pair(),
             "slots 0:5000 1:5000\n"
             "breaker consecutive 5 rate 5000 min_requests 20 window_us 1000000 open_us 20000 "
             "max_open_us 200000\n"
             "rescue budget 2000 floor 3\n",
             nullptr, Plain};
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, [](std::uint64_t n) { return n % 400 < 300 ? Badly(n) : Well(n); });
  };
  s.check = [](const Tally&) {
    Expect(fake::MetricSum("nereid_ejections_total") > 0, "the breaker never opened");
  };
  return s;
}

Scenario TimedOut() {
  Scenario s{"timeouts", Pair(" timeout_us 3000", " timeout_us 3000"),
             "slots 0:5000 1:5000\n", nullptr, Plain};
  s.requests = 4000;
  s.set_arms = [] {
    const auto hangs = [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      if (n % 10 == 0) {
        behaviour.at_once = false;
        behaviour.until_cancelled = true;
      } else if (n % 10 == 1) {
        behaviour.at_once = false;
        behaviour.obeys_cancel = false;
        behaviour.delay_us = 12'000;
      } else if (n % 10 == 2) {
        behaviour.delay_us = 2'900;   // beside the timeout itself
      }
      return behaviour;
    };
    fake::SetArm(kPrimary, hangs);
    fake::SetArm(kCanary, hangs);
  };
  s.check = [](const Tally& tally) {
    Expect(tally.errors >= tally.requests / 10, "hanging arms were waited for");
  };
  return s;
}

Scenario RescuedFromTimeout() {
  Scenario s{"rescued-from-timeout", Pair(" timeout_us 3000"),
             "slots 0:5000 1:5000\nrescue budget 10000 floor 1000000\n", nullptr, Plain};
  s.requests = 2000;
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.at_once = false;
      behaviour.obeys_cancel = n % 2 == 0;
      behaviour.delay_us = 15'000;
      return behaviour;
    });
  };
  s.check = NoErrors;
  return s;
}

Scenario Limited() {
  Scenario s{"limits", Pair(" max_in_flight 4", " max_in_flight 8"), "slots 0:5000 1:5000\n",
             nullptr, Plain};
  s.reloads = true;
  s.set_arms = [] {
    const auto slow = [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.at_once = false;
      behaviour.delay_us = 400;
      return behaviour;
    };
    fake::SetArm(kPrimary, slow);
    fake::SetArm(kCanary, slow);
  };
  s.requests = 8000;
  s.check = [](const Tally& tally) {
    Expect(fake::CountsOf(kPrimary).peak <= 8, "more than 8 were in flight on the primary");
    Expect(fake::CountsOf(kCanary).peak <= 4, "more than 4 were in flight on the canary");
    Expect(tally.codes.size() <= 1 && tally.codes.count(TRITONSERVER_ERROR_UNAVAILABLE) == 1,
           "too many at once are refused as UNAVAILABLE");
  };
  return s;
}

Scenario Shadowed() {
  Scenario s{"shadow", Pair(), "slots 0:10000\nshadow 1 parts 10000 max_in_flight 6 compare y\n",
             nullptr, Plain};
  s.shadow_arm = kCanary;
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, [](std::uint64_t n) {
      Behaviour behaviour = n % 4 == 0 ? Badly(n) : Well(n);
      behaviour.delay_us = n % 3 * 500;
      behaviour.obeys_cancel = n % 2 == 0;
      return behaviour;
    });
  };
  s.check = [](const Tally& tally) {
    NoErrors(tally);
    Expect(tally.arms.size() == 1 && tally.arms.count(kPrimary) == 1,
           "a shadow's answer reached a caller");
    Expect(fake::CountsOf(kCanary).submitted > 0, "nothing was shadowed");
    Expect(fake::CountsOf(kCanary).peak <= 6, "more shadows than allowed were in flight");
  };
  return s;
}

Scenario ByRulesAndKeys() {
  Scenario s{"rules-and-keys", Pair(),
             "slots 0:5000 1:5000\nsticky header x-user-id salt digits\n"
             "rule 1 header x-tenant-name equals tenant-3\n"
             "rule 0 parameter region in eu us\nand header x-tenant-name prefix ten\n",
             GoodPair, nullptr};
  s.request = [](std::uint64_t n) {
    RequestShape shape;
    shape.parameters["X-User-Id"] = "user-" + std::to_string(n % 97);
    return shape;
  };
  s.key_of = [](std::uint64_t n) { return std::to_string(n % 97); };
  s.check = NoErrors;
  return s;
}

// A key counts once on its arm, however many requests it sends from however many threads.
Scenario OnceAKey() {
  Scenario s{"once-a-key", Pair(), "slots 0:5000 1:5000\nsticky header x-user-id salt digits\n",
             nullptr, nullptr};
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, Badly);
  };
  s.request = [](std::uint64_t n) {
    RequestShape shape;
    if (n % 4 != 0) shape.parameters["X-User-Id"] = "user-" + std::to_string(n % 97);
    return shape;
  };
  s.reloads = false;
  s.check = [](const Tally&) {
    const auto keys = [](const char* arm, const char* outcome) {
      return fake::MetricSum("nereid_keys_total", {{"arm", arm}, {"outcome", outcome}});
    };
    Expect(keys(kPrimary, "bad") == 0 && keys(kCanary, "good") == 0, "a key is of the wrong kind");
    const double all = keys(kPrimary, "good") + keys(kCanary, "bad");
    Expect(all == 97, std::to_string(all) + " of 97 keys were counted");
    Expect(keys(kCanary, "bad") > 20, "the canary had hardly any of the keys");
  };
  return s;
}

// Each answer's confidence counts once, on the arm that gave it; a rescue's on none.
Scenario Confident() {
  Scenario s{"confidence", Pair(),
             "slots 0:5000 1:5000\nconfidence y scores logits\n"
             "rescue budget 10000 floor 1000000\n",
             nullptr, Plain};
  const auto answered = std::make_shared<std::atomic<std::uint64_t>>(0);
  s.decoupled = true;
  s.reloads = true;
  s.set_arms = [answered] {
    answered->store(0);
    const auto says = [answered](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.datatype = 11;
      behaviour.output_bytes = 40;
      behaviour.responses = static_cast<int>(1 + n % 3);
      answered->fetch_add(1);
      return behaviour;
    };
    fake::SetArm(kPrimary, says);
    fake::SetArm(kCanary, [says](std::uint64_t n) { return n % 3 == 0 ? Badly(n) : says(n); });
  };
  s.check = [answered](const Tally& tally) {
    NoErrors(tally);
    const auto sure = [](const char* arm) {
      return fake::MetricSum("nereid_output_confidence", {{"arm", arm}});
    };
    const auto rescued =
        fake::MetricSum("nereid_requests_total", {{"arm", kCanary}, {"outcome", "rescued"}});
    Expect(sure(kCanary) > 0 && rescued > 0, "the canary's answers were not read");
    const double own = static_cast<double>(answered->load()) - rescued;
    Expect(sure(kPrimary) + sure(kCanary) == own,
           std::to_string(sure(kPrimary) + sure(kCanary)) + " of " + std::to_string(own) +
               " answers were read");
  };
  return s;
}

Scenario Sequences() {
  Scenario s{"sequences", Pair(), "slots 0:5000 1:5000\nsequences finish idle_us 60000000\n",
             GoodPair, nullptr};
  s.request = [](std::uint64_t n) {
    RequestShape shape;
    const std::uint64_t sequence = n / 8 + 1;
    shape.flags = n % 8 == 0 ? 1u : n % 8 == 7 ? 2u : 0u;
    if (sequence % 2 == 0) {
      shape.correlation = sequence;
    } else {
      shape.correlation_text = "sequence-" + std::to_string(sequence);
    }
    return shape;
  };
  s.key_of = [](std::uint64_t n) { return std::to_string(n / 8); };
  s.check = NoErrors;
  return s;
}

Scenario Allowed() {
  Scenario s{"allowance", Pair(), "allowance 1 grant abc attempts 100 failures - until_ms -\n"
             "slots 0:5000 1:5000\n", GoodPair, Plain};
  s.check = [](const Tally& tally) {
    NoErrors(tally);
    const std::uint64_t attempts = fake::CountsOf(kCanary).submitted;
    Expect(attempts == 100, "the canary was allowed 100 attempts and had " +
                                std::to_string(attempts));
  };
  return s;
}

// One in three attempts on the canary fails, now or later: twenty of them and not one more.
Scenario Harmed() {
  Scenario s{"harm", Pair(" timeout_us 20000"),
             "allowance 1 grant abc attempts - failures 20 until_ms -\nslots 0:5000 1:5000\n"
             "rescue budget 10000 floor 1000000\n", nullptr, Plain};
  const auto failed = std::make_shared<std::atomic<std::uint64_t>>(0);
  s.set_arms = [failed] {
    failed->store(0);
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, [failed](std::uint64_t n) {
      if (n % 3 != 0) return Well(n);
      failed->fetch_add(1);
      Behaviour behaviour = Badly(n);
      if (n % 4 == 0) behaviour.delay_us = 2'000;
      if (n % 5 == 0) behaviour.delay_us = 40'000;  // past its timeout
      return behaviour;
    });
  };
  s.check = [failed](const Tally& tally) {
    NoErrors(tally);
    // A thread that had to wait for its core may have cost another one its time.
    Expect(failed->load() > 0 && failed->load() <= 20, "the canary was allowed 20 failures and had " +
                                     std::to_string(failed->load()));
  };
  return s;
}

Scenario Adaptive() {
  Scenario s{"adaptive",
             "arm " + std::string(kPrimary) + " primary cost 1.5 accuracy 0.9 capacity 8\narm " +
                 kCanary + " cost 1 accuracy 0.95 capacity 4\narm " + kThird +
                 " cost 0.5 accuracy 0.8 capacity 4\narm " + kFourth + " cost 3 accuracy 0.99\n",
             "slots 0:2500 1:2500 2:2500 3:2500\n"
             "breaker consecutive 5 rate 0 min_requests 20 window_us 1000000 open_us 20000 "
             "max_open_us 200000\nslow_start window_us 5000 aggression 1.5\n"
             "rescue budget 10000 floor 1000000\n"
             "objective alpha 1 beta 0.5 gamma 1 delta 0.2 explore 500\n",
             nullptr, Plain};
  s.set_arms = [] {
    fake::SetArm(kPrimary, Well);
    fake::SetArm(kCanary, [](std::uint64_t n) { return n % 10 == 0 ? Badly(n) : Well(n); });
    fake::SetArm(kThird, [](std::uint64_t n) {
      Behaviour behaviour = Well(n);
      behaviour.delay_us += 500;
      return behaviour;
    });
    fake::SetArm(kFourth, Badly);
  };
  s.check = NoErrors;
  return s;
}

// Every policy at once, with callers that go away.
Scenario Everything() {
  Scenario s{"everything",
             "arm " + std::string(kPrimary) + " primary max_in_flight 200\narm " + kCanary +
                 " max_in_flight 20 overflow 0 timeout_us 4000\narm " + kThird +
                 " max_in_flight 20 overflow 1 timeout_us 4000\narm " + kFourth + "\n",
             "allowance 1 grant g1 attempts 100000 failures 100000 until_ms -\n"
             "slots 0:6000 1:2000 2:2000\nsticky header x-tenant-name salt s\n"
             "rule 2 header x-tenant-name equals tenant-3\n"
             "shadow 3 parts 3000 max_in_flight 4 compare y\n"
             "breaker consecutive 5 rate 5000 min_requests 20 window_us 100000 open_us 5000 "
             "max_open_us 50000 latency_us 3000\nslow_start window_us 5000 aggression 1\n"
             "rescue budget 2000 floor 3\nsequences cut idle_us 2000\n",
             nullptr, nullptr};
  s.shadow_arm = kFourth;
  s.cancel_one_in = 20;
  s.set_arms = [] {
    const auto mixed = [](std::uint64_t n) {
      Behaviour behaviour = n % 9 == 0 ? Badly(n) : Well(n);
      if (n % 31 == 0) {
        behaviour.at_once = false;
        behaviour.delay_us = 8'000;
        behaviour.obeys_cancel = n % 2 == 0;
      }
      return behaviour;
    };
    for (const char* arm : {kPrimary, kCanary, kThird, kFourth}) fake::SetArm(arm, mixed);
  };
  s.request = [](std::uint64_t n) {
    RequestShape shape = Plain(n);
    if (n % 5 == 0) {
      shape.correlation = n / 40 + 1;
      shape.flags = n % 40 == 0 ? 1u : n % 40 == 35 ? 2u : 0u;
    }
    return shape;
  };
  return s;
}

}  // namespace

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> all{
      Weighted(),  Large(),         OnDevice(), Errors(),   AbsentArm(),          Decoupled(), Cancelled(),
      CancelledAtRandom(), Rescued(), RescuedAbsent(), BothFail(), Broken(), TimedOut(),
      RescuedFromTimeout(), Limited(), Shadowed(), ByRulesAndKeys(), OnceAKey(), Confident(), Sequences(), Allowed(), Harmed(),
      Adaptive(), Everything()};
  return all;
}

std::string PolicyOf(const Scenario& scenario, std::uint64_t generation) {
  return "nereid-traffic 1\nendpoint m\ngeneration " + std::to_string(generation) + "\n" +
         scenario.arms + scenario.rest;
}
