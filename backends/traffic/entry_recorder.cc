// C entry points to the recorder of callers' requests.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "entry.h"
#include "recorder.h"

namespace {

struct nereid_recorder {
  std::map<std::string, nereid::RecordingPlace> places;
  std::unique_ptr<nereid::Recorder> recorder;
};

}  // namespace

// It looks when it is told to.
NEREID_EXPORT nereid_recorder* nereid_recorder_new(nereid_text asked, nereid_text recorded) {
  auto made = std::make_unique<nereid_recorder>();
  made->recorder = std::make_unique<nereid::Recorder>(
      std::string(asked.view()), std::string(recorded.view()),
      [places = &made->places](
          const std::string& endpoint, std::shared_ptr<nereid::Recording> now) {
        (*places)[endpoint].Set(std::move(now));
      },
      false);
  return made.release();
}

NEREID_EXPORT void nereid_recorder_delete(nereid_recorder* recorder) { delete recorder; }

NEREID_EXPORT void nereid_recorder_look(nereid_recorder* recorder, std::int64_t unix_ms) {
  recorder->recorder->Look(unix_ms);
}

// A request of the endpoint, as these bytes of a record; whether it was recorded.
NEREID_EXPORT bool nereid_recorder_request(
    nereid_recorder* recorder, nereid_text endpoint, nereid_text record) {
  const auto now = recorder->places[std::string(endpoint.view())].Now();
  if (!now || !now->Wants() || !now->Reserve(record.size)) return false;
  now->Put(std::vector<char>(record.data, record.data + record.size));
  return true;
}

// A request that is copied while the recorder looks.
NEREID_EXPORT bool nereid_recorder_slow_request(
    nereid_recorder* recorder, nereid_text endpoint, nereid_text record, std::int64_t unix_ms) {
  const auto now = recorder->places[std::string(endpoint.view())].Now();
  if (!now || !now->Wants() || !now->Reserve(record.size)) return false;
  recorder->recorder->Look(unix_ms);
  now->Put(std::vector<char>(record.data, record.data + record.size));
  return true;
}

// A request that could not be copied; whether it was to be recorded.
NEREID_EXPORT bool nereid_recorder_lost_request(
    nereid_recorder* recorder, nereid_text endpoint, nereid_text record) {
  const auto now = recorder->places[std::string(endpoint.view())].Now();
  if (!now || !now->Wants() || !now->Reserve(record.size)) return false;
  now->GiveUp(record.size);
  return true;
}
