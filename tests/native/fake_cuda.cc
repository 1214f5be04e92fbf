// A stand-in for a graphics card and its runtime. Its addresses fault wherever they are touched
// directly; what is copied to it is there when the device was synchronized, and not before.

#include <cstring>
#include <utility>
#include <vector>

#include "fake_objects.h"

namespace fake {
namespace {

constexpr std::uintptr_t kTag = std::uintptr_t{1} << 62;

struct Copy {
  void* target;
  std::vector<char> bytes;
};

thread_local std::vector<Copy> on_their_way;

std::uintptr_t Address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

bool IsOnDevice(const void* pointer) { return (Address(pointer) & kTag) != 0; }

}  // namespace

void* OnDevice(const void* memory) { return reinterpret_cast<void*>(Address(memory) | kTag); }

void* BehindDevice(const void* pointer) {
  return reinterpret_cast<void*>(Address(pointer) & ~kTag);
}

}  // namespace fake

extern "C" __attribute__((visibility("default"))) int cudaMemcpy(
    void* target, const void* source, std::size_t size, int kind) {
  constexpr int kDefault = 4;
  if (kind != kDefault) fake::Violation("cudaMemcpy is told a direction that may be wrong");
  if (!fake::IsOnDevice(target) && !fake::IsOnDevice(source)) {
    fake::Violation("cudaMemcpy copies where no device is involved");
  }
  const char* from = static_cast<const char*>(fake::BehindDevice(source));
  void* to = fake::BehindDevice(target);
  if (fake::IsOnDevice(target)) {
    fake::on_their_way.push_back({to, std::vector<char>(from, from + size)});
  } else {
    std::memcpy(to, from, size);
  }
  return 0;
}

extern "C" __attribute__((visibility("default"))) int cudaDeviceSynchronize() {
  for (const auto& copy : std::exchange(fake::on_their_way, {})) {
    std::memcpy(copy.target, copy.bytes.data(), copy.bytes.size());
  }
  return 0;
}
