#include "device_copy.h"

#include <dlfcn.h>

#include <cstring>
#include <string>

namespace nereid {
namespace {

using CudaMemcpy = int (*)(void* target, const void* source, std::size_t size, int kind);
constexpr int kEitherWay = 4;  // cudaMemcpyDefault: the addresses say where they lie

CudaMemcpy FindCudaMemcpy() {
  if (void* loaded = dlsym(RTLD_DEFAULT, "cudaMemcpy")) return reinterpret_cast<CudaMemcpy>(loaded);
  for (const char* name : {"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so"}) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    if (void* found = dlsym(library, "cudaMemcpy")) return reinterpret_cast<CudaMemcpy>(found);
  }
  return nullptr;
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
  static const CudaMemcpy copy = FindCudaMemcpy();
  if (copy == nullptr) {
    return MakeError(
        TRITONSERVER_ERROR_UNSUPPORTED,
        "a tensor lies in GPU memory and no CUDA runtime (libcudart) is there to reach it");
  }
  if (const int status = copy(target, source, size, kEitherWay)) {
    return MakeError(
        TRITONSERVER_ERROR_INTERNAL,
        "copying a tensor in GPU memory failed with CUDA error " + std::to_string(status));
  }
  return nullptr;
}

}  // namespace nereid
