#include "device_copy.h"

#include <dlfcn.h>

#include <cstring>
#include <string>

namespace nereid {
namespace {

constexpr int kEitherWay = 4;  // cudaMemcpyDefault: the addresses say where they lie

struct Cuda {
  int (*copy)(void* target, const void* source, std::size_t size, int kind) = nullptr;
  int (*synchronize)() = nullptr;

  bool Load(void* library) {
    copy = reinterpret_cast<decltype(copy)>(dlsym(library, "cudaMemcpy"));
    synchronize = reinterpret_cast<decltype(synchronize)>(dlsym(library, "cudaDeviceSynchronize"));
    return copy != nullptr && synchronize != nullptr;
  }
};

Cuda FindCuda() {
  Cuda cuda;
  if (cuda.Load(RTLD_DEFAULT)) return cuda;
  for (const char* name : {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so"}) {
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr && cuda.Load(library)) return cuda;
  }
  return Cuda{};
}

}  // namespace

Error CopyBytes(
    void* target, TRITONSERVER_MemoryType target_memory, const void* source,
    TRITONSERVER_MemoryType source_memory, std::size_t size) {
  if (size == 0) return nullptr;
  if (target_memory != TRITONSERVER_MEMORY_GPU && source_memory != TRITONSERVER_MEMORY_GPU) {
    std::memcpy(target, source, size);
    return nullptr;
  }
  static const Cuda cuda = FindCuda();
  if (cuda.copy == nullptr || cuda.synchronize == nullptr) {
    return MakeError(
        TRITONSERVER_ERROR_UNSUPPORTED,
        "a tensor lies in GPU memory and no CUDA runtime (libcudart) is there to reach it");
  }
  int status = cuda.copy(target, source, size, kEitherWay);
  // To a device it may return while the last of it is still on its way.
  if (status == 0 && target_memory == TRITONSERVER_MEMORY_GPU) status = cuda.synchronize();
  if (status != 0) {
    return MakeError(
        TRITONSERVER_ERROR_INTERNAL,
        "copying a tensor in GPU memory failed with CUDA error " + std::to_string(status));
  }
  return nullptr;
}

}  // namespace nereid
