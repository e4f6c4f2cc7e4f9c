#include "driver.h"

#include <dlfcn.h>

#include <array>
#include <utility>

namespace cellsam::binding {

namespace {

// The few declarations of cuda.h and nvml.h that are used here; both are stable C interfaces.
using Init = int (*)(unsigned);
using GetInt = int (*)(int*);
using GetDevice = int (*)(int*, int);
using GetName = int (*)(char*, int, int);
using GetMemory = int (*)(std::size_t*, int);
using GetAttribute = int (*)(int*, int, int);
using NvmlDo = int (*)();
using NvmlText = int (*)(char*, unsigned);
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

// The version that nvidia-smi shows; null where its library is missing, as in some containers.
Value driver_version() {
  auto* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  const auto init = symbol<NvmlDo>(library, "nvmlInit_v2");
  const auto ask = symbol<NvmlText>(library, "nvmlSystemGetDriverVersion");
  const auto shutdown = symbol<NvmlDo>(library, "nvmlShutdown");
  Value version;
  if (init != nullptr && ask != nullptr && shutdown != nullptr && init() == 0) {
    std::array<char, 96> text{};
    if (ask(text.data(), text.size()) == 0) version = std::string(text.data());
    shutdown();
  }
  dlclose(library);
  return version;
}

}  // namespace

Value driver_info() {
  // Never closed: the driver's threads outlive any one question.
  auto* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  const auto init = symbol<Init>(library, "cuInit");
  const auto get_version = symbol<GetInt>(library, "cuDriverGetVersion");
  const auto get_count = symbol<GetInt>(library, "cuDeviceGetCount");
  const auto get_device = symbol<GetDevice>(library, "cuDeviceGet");
  const auto get_name = symbol<GetName>(library, "cuDeviceGetName");
  const auto get_memory = symbol<GetMemory>(library, "cuDeviceTotalMem_v2");
  const auto get_attribute = symbol<GetAttribute>(library, "cuDeviceGetAttribute");
  if (!init || !get_version || !get_count || !get_device || !get_name || !get_memory || !get_attribute) return {};
  int cuda = 0;
  int count = 0;
  if (init(0) != 0 || get_version(&cuda) != 0 || get_count(&count) != 0 || count == 0) return {};

  List devices;
  for (int i = 0; i < count; i++) {
    int device = 0;
    int major = 0;
    int minor = 0;
    std::size_t memory = 0;
    std::array<char, 256> name{};
    if (get_device(&device, i) != 0 || get_name(name.data(), name.size(), device) != 0) continue;
    get_memory(&memory, device);
    get_attribute(&major, kCapabilityMajor, device);
    get_attribute(&minor, kCapabilityMinor, device);
    Dict entry{{"name", std::string(name.data())},
               {"memory", memory},
               {"computeCapability", std::to_string(major) + "." + std::to_string(minor)}};
    devices.emplace_back(std::move(entry));
  }
  return Dict{{"cuda", std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10)},
              {"version", driver_version()},
              {"devices", devices}};
}

}  // namespace cellsam::binding
