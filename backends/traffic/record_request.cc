#include "record_request.h"

#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "check.h"
#include "device_copy.h"

namespace nereid {
namespace {

struct Tensor {
  TRITONBACKEND_Input* input = nullptr;
  const char* name = nullptr;
  TRITONSERVER_DataType datatype = 0;
  const std::int64_t* shape = nullptr;
  std::uint32_t dims = 0;
  std::uint64_t bytes = 0;
  std::uint32_t buffers = 0;
};

Error TensorsOf(TRITONBACKEND_Request* request, std::vector<Tensor>* tensors) {
  std::uint32_t count = 0;
  NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputCount(request, &count));
  tensors->resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Tensor& one = (*tensors)[i];
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_RequestInputByIndex(request, i, &one.input));
    NEREID_RETURN_IF_ERROR(TRITONBACKEND_InputProperties(
        one.input, &one.name, &one.datatype, &one.shape, &one.dims, &one.bytes, &one.buffers));
  }
  return nullptr;
}

std::size_t SizeOf(const std::vector<Tensor>& tensors) {
  std::size_t size = 24;
  for (const Tensor& one : tensors) {
    size += 24 + 8 * std::size_t{one.dims} + std::strlen(one.name) + one.bytes;
  }
  return size;
}

// Appends to a block of known size.
class Block {
 public:
  explicit Block(std::size_t size) : bytes_(size), at_(bytes_.data()) {}

  void Add(const void* from, std::size_t size) {
    if (size > 0) std::memcpy(at_, from, size);
    at_ += size;
  }
  template <typename Number>
  void Add(Number number) {
    Add(&number, sizeof number);
  }

  Error AddBuffers(const Tensor& tensor) {
    const char* const end = at_ + tensor.bytes;
    for (std::uint32_t i = 0; i < tensor.buffers; ++i) {
      const void* buffer = nullptr;
      std::uint64_t size = 0;
      TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
      std::int64_t memory_id = 0;
      NEREID_RETURN_IF_ERROR(
          TRITONBACKEND_InputBuffer(tensor.input, i, &buffer, &size, &memory, &memory_id));
      if (size > static_cast<std::uint64_t>(end - at_)) break;
      if (Error error = CopyBytes(at_, TRITONSERVER_MEMORY_CPU, buffer, memory, size)) return error;
      at_ += size;
    }
    if (at_ == end) return nullptr;
    return MakeError(TRITONSERVER_ERROR_INTERNAL, "an input's buffers are not as long as it says");
  }

  std::vector<char> Take() { return std::move(bytes_); }

 private:
  std::vector<char> bytes_;
  char* at_;
};

Error Copy(const std::vector<Tensor>& tensors, std::size_t size, std::vector<char>* record) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  Block block(size);
  block.Add(std::uint64_t{size - 8});
  block.Add(std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()});
  block.Add(static_cast<std::uint32_t>(tensors.size()));
  block.Add(std::uint32_t{0});
  for (const Tensor& one : tensors) {
    const std::size_t name = std::strlen(one.name);
    block.Add(static_cast<std::uint32_t>(name));
    block.Add(static_cast<std::uint32_t>(one.datatype));
    block.Add(one.dims);
    block.Add(std::uint32_t{0});
    block.Add(one.bytes);
    block.Add(one.shape, 8 * std::size_t{one.dims});
    block.Add(one.name, name);
    if (Error error = block.AddBuffers(one)) return error;
  }
  *record = block.Take();
  return nullptr;
}

void Record(Recording* recording, TRITONBACKEND_Request* request) {
  std::vector<Tensor> tensors;
  if (Error error = TensorsOf(request, &tensors)) {
    if (recording->IsFirstToTell()) LogIfError(error.release(), "look at a request to record");
    return;
  }
  const std::size_t size = SizeOf(tensors);
  if (!recording->Reserve(size)) return;
  std::vector<char> record;
  try {
    if (Error error = Copy(tensors, size, &record)) {
      recording->GiveUp(size);
      if (recording->IsFirstToTell()) LogIfError(error.release(), "record a request");
      return;
    }
  } catch (...) {
    recording->GiveUp(size);
    throw;
  }
  recording->Put(std::move(record));
}

}  // namespace

void RecordRequest(const RecordingPlace& place, TRITONBACKEND_Request* request) noexcept {
  const std::shared_ptr<Recording> recording = place.Now();
  if (!recording) return;
  try {
    if (recording->Wants()) Record(recording.get(), request);
  } catch (const std::exception&) {
    // No memory for a copy: the request goes on without one.
  }
}

}  // namespace nereid
