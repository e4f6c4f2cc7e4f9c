#include "os/gpu_driver.h"

#include <array>

#include "os/library.h"

namespace cellsam::os {
namespace {

// The declarations of cuda.h and nvml.h that are used here; both are stable C interfaces.
using Init = int (*)(unsigned);
using GetInt = int (*)(int*);
using GetDevice = int (*)(int*, int);
using GetName = int (*)(char*, int, int);
using GetMemory = int (*)(std::size_t*, int);
using GetAttribute = int (*)(int*, int, int);
using NvmlDo = int (*)();
using NvmlText = int (*)(char*, unsigned);
using GetBusId = int (*)(char*, int, int);
using NvmlFind = int (*)(const char*, void**);
struct NvmlMemory {
  unsigned long long total, free, used;
};
using NvmlMemoryOf = int (*)(void*, NvmlMemory*);
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

#if defined(_WIN32)
constexpr const char *kCuda = "nvcuda.dll", *kNvml = "nvml.dll";
#else
constexpr const char *kCuda = "libcuda.so.1", *kNvml = "libnvidia-ml.so.1";
#endif

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(find_symbol(library, name));
}

class Nvml {
 public:
  Nvml() : library_(open_library(kNvml)) {
    if (library_ == nullptr) return;
    const auto init = symbol<NvmlDo>(library_, "nvmlInit_v2");
    started_ = init != nullptr && init() == 0;
  }
  ~Nvml() {
    if (const auto shutdown = started_ ? symbol<NvmlDo>(library_, "nvmlShutdown") : nullptr) shutdown();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::optional<std::string> driver_version() const {
    const auto ask = started_ ? symbol<NvmlText>(library_, "nvmlSystemGetDriverVersion") : nullptr;
    std::array<char, 96> text{};
    if (ask == nullptr || ask(text.data(), text.size()) != 0) return std::nullopt;
    return std::string(text.data());
  }

  std::optional<std::size_t> free_memory(const std::string& bus_id) const {
    const auto find = started_ ? symbol<NvmlFind>(library_, "nvmlDeviceGetHandleByPciBusId_v2") : nullptr;
    const auto ask = started_ ? symbol<NvmlMemoryOf>(library_, "nvmlDeviceGetMemoryInfo") : nullptr;
    void* device = nullptr;
    NvmlMemory memory{};
    if (bus_id.empty() || find == nullptr || ask == nullptr) return std::nullopt;
    if (find(bus_id.c_str(), &device) != 0 || ask(device, &memory) != 0) return std::nullopt;
    return static_cast<std::size_t>(memory.free);
  }

 private:
  void* library_;
  bool started_ = false;
};

}  // namespace

std::optional<GpuDriver> gpu_driver() {
  auto* library = open_library(kCuda);
  if (library == nullptr) return std::nullopt;
  const auto init = symbol<Init>(library, "cuInit");
  const auto get_version = symbol<GetInt>(library, "cuDriverGetVersion");
  const auto get_count = symbol<GetInt>(library, "cuDeviceGetCount");
  const auto get_device = symbol<GetDevice>(library, "cuDeviceGet");
  const auto get_name = symbol<GetName>(library, "cuDeviceGetName");
  const auto get_memory = symbol<GetMemory>(library, "cuDeviceTotalMem_v2");
  const auto get_attribute = symbol<GetAttribute>(library, "cuDeviceGetAttribute");
  const auto get_bus_id = symbol<GetBusId>(library, "cuDeviceGetPCIBusId");
  if (!init || !get_version || !get_count || !get_device || !get_name || !get_memory || !get_attribute) return std::nullopt;
  GpuDriver driver;
  int count = 0;
  if (init(0) != 0 || get_version(&driver.cuda) != 0 || get_count(&count) != 0 || count == 0) return std::nullopt;
  for (int i = 0; i < count; i++) {
    int device = 0;
    std::array<char, 256> name{};
    if (get_device(&device, i) != 0 || get_name(name.data(), name.size(), device) != 0) continue;
    Gpu gpu{.name = name.data()};
    get_memory(&gpu.memory, device);
    get_attribute(&gpu.capability_major, kCapabilityMajor, device);
    get_attribute(&gpu.capability_minor, kCapabilityMinor, device);
    std::array<char, 32> bus_id{};
    if (get_bus_id != nullptr && get_bus_id(bus_id.data(), bus_id.size(), device) == 0) gpu.bus_id = bus_id.data();
    driver.gpus.push_back(std::move(gpu));
  }
  return driver;
}

GpuMonitor gpu_monitor(const std::vector<Gpu>& gpus) {
  const Nvml nvml;
  GpuMonitor monitor{nvml.driver_version(), {}};
  for (const auto& gpu : gpus) monitor.free_memory.push_back(nvml.free_memory(gpu.bus_id));
  return monitor;
}

}  // namespace cellsam::os
