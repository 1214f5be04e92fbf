// A stand-in for the server: what backends/traffic/abi.h declares, held to the rules of the real one.
//
// A broken rule (a second final answer, a use after release, a leak) ends the process with a message.
// Memory that the real server would free is freed here too, so that a sanitizer sees what reads it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../../backends/traffic/abi.h"

namespace fake {

// Ends the process: the backend broke a rule of the interface, or the harness found a wrong count.
[[noreturn]] void Violation(const std::string& what);

// What the interface hands out and wants back.
enum class Kind {
  kError, kInnerRequest, kOuterRequest, kInput, kInnerResponse, kOuterResponse, kOutput, kFactory,
  kTrace, kParameter, kMessage, kAllocator, kReport, kMetricFamily, kMetric, kMetricArgs, kModel,
  kInstance, kBuffer, kCount
};
std::int64_t Live(Kind kind);
// "error 2, inner request 1": what is alive of the kinds that belong to requests; "" when nothing.
std::string LiveOfRequests();
// The same of everything that a backend makes.
std::string LiveOfBackend();

// Makes calls of the interface fail. Functions that take something over still do when they are made
// to fail, as the real ones do, so that a failure is never an excuse for a leak.
void FailNth(std::int64_t nth);                  // the nth call from now (1 = the next); 0: none
// On this thread no getter fails while one lives: without its state a backend cannot free it.
class SpareGetters {
 public:
  SpareGetters();
  ~SpareGetters();
};
void FailAlways(const std::string& function);    // every call of one function; "": none
std::int64_t CallsSince();                       // interface calls since the last FailNth
std::string FailedFunction();                    // what FailNth made fail, "" when it was not reached

// What an arm does with one request.
struct Behaviour {
  enum class Release { kBefore, kBetween, kAfter };
  int error = -1;                 // a TRITONSERVER_Error_Code, or -1
  std::uint64_t delay_us = 0;
  bool until_cancelled = false;   // never answers of itself
  bool obeys_cancel = true;       // looks each millisecond while it waits
  int responses = 1;              // before an error, if there is one
  bool final_apart = false;       // the end comes in a call of its own, without a response
  Release release = Release::kAfter;
  std::size_t output_bytes = 0;   // 0: gives the first input back
  int datatype = 2;               // of the output: UINT8 with one element a byte, else FP32
  bool at_once = false;           // answers inside of TRITONSERVER_ServerInferAsync
  bool submit_fails = false;
};
// `n` counts the arm's requests from 0.
using Script = std::function<Behaviour(std::uint64_t n)>;

struct ArmCounts {
  std::uint64_t submitted = 0;
  std::uint64_t refused = 0;   // submits that failed
  std::uint64_t cancelled = 0;
  std::int64_t in_flight = 0;
  std::int64_t peak = 0;
};
// How long `until_cancelled` waits at most: with a cancel that fails nothing else would end it.
void HangAtMost(std::uint64_t us);
void SetArm(const std::string& name, Script script);
void RemoveArm(const std::string& name);
ArmCounts CountsOf(const std::string& arm);
std::uint64_t AsksForAbsentArms();
void ForgetArms();

// A caller of the endpoint and what it was told. The harness keeps it; requests point to it.
class Caller {
 public:
  // Waits for the one final answer and for the request to be given back; dies after `seconds`.
  void Wait(double seconds = 30);
  bool Done() const;
  void Cancel() { cancelled.store(true); }

  std::atomic<bool> cancelled{false};
  bool decoupled = false;
  bool on_device = false;   // wants its outputs on the card
  // The rest is guarded by `mutex` until Wait() has returned.
  mutable std::mutex mutex;
  int finals = 0;
  int responses = 0;
  bool released = false;
  int error = -1;   // of the last response; -1: none
  std::string message;
  std::string arm;
  std::vector<char> output;   // the first output of the last response
  std::function<void(Caller&)> on_end;
};

struct RequestShape {
  std::string id;
  std::uint64_t correlation = 0;
  std::string correlation_text;
  std::uint32_t flags = 0;
  std::uint64_t priority = 0;
  std::uint64_t timeout_us = 0;
  std::map<std::string, std::string> parameters;
  std::size_t input_bytes = 64;
  int pieces = 1;
  char fill = 'x';
  bool on_device = false;   // tensors lie on the card, both ways
  bool traced = false;
};

// One loaded router. It is finalized on a thread of its own when the last request and the last
// pointer to it are gone, as the server does.
class Model;
using ModelPointer = std::shared_ptr<Model>;

// Null and `error` when the backend refused it.
ModelPointer Load(
    const std::string& name, std::uint64_t version, const std::string& policy, bool decoupled,
    std::string* error);
std::shared_ptr<Caller> Infer(
    const ModelPointer& model, const RequestShape& shape,
    std::function<void(Caller&)> on_end = nullptr);
// Until every model is finalized that nobody points to.
void WaitForFinalized();

// TRITONBACKEND_Initialize and Finalize of the backend that is linked in.
bool StartBackend(std::string* error);
void StopBackend();

// The sum over the series of `family` that carry these labels (of a histogram: its observations).
double MetricSum(
    const std::string& family, const std::map<std::string, std::string>& labels = {});
std::string MetricsText(const std::string& prefix);

std::uint64_t ErrorsLogged();
// Messages of the backend go to standard error unless this is set.
void Quiet(bool quiet);

}  // namespace fake
