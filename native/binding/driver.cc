#include "driver.h"

#include <array>
#include <utility>

#include "os/library.h"

namespace cellsam::binding {

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
  return reinterpret_cast<Function>(os::find_symbol(library, name));
}

// The library of nvidia-smi, which some containers lack. It knows the free memory of a device without initialising CUDA there.
class Nvml {
 public:
  Nvml() : library_(os::open_library(kNvml)) {
    if (library_ == nullptr) return;
    const auto init = symbol<NvmlDo>(library_, "nvmlInit_v2");
    started_ = init != nullptr && init() == 0;
  }
  ~Nvml() {
    if (const auto shutdown = started_ ? symbol<NvmlDo>(library_, "nvmlShutdown") : nullptr) shutdown();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // The version of the driver, as nvidia-smi shows it; null where it is not known.
  Value driver_version() const {
    const auto ask = started_ ? symbol<NvmlText>(library_, "nvmlSystemGetDriverVersion") : nullptr;
    std::array<char, 96> text{};
    if (ask == nullptr || ask(text.data(), text.size()) != 0) return {};
    return std::string(text.data());
  }

  // Bytes; null where they are not known. The bus id identifies the device also where CUDA_VISIBLE_DEVICES changes the numbers.
  Value free_memory(const char* bus_id) const {
    const auto find = started_ ? symbol<NvmlFind>(library_, "nvmlDeviceGetHandleByPciBusId_v2") : nullptr;
    const auto ask = started_ ? symbol<NvmlMemoryOf>(library_, "nvmlDeviceGetMemoryInfo") : nullptr;
    void* device = nullptr;
    NvmlMemory memory{};
    if (find == nullptr || ask == nullptr || find(bus_id, &device) != 0 || ask(device, &memory) != 0) return {};
    return static_cast<std::size_t>(memory.free);
  }

 private:
  void* library_;
  bool started_ = false;
};

}  // namespace

Value driver_info() {
  auto* library = os::open_library(kCuda);
  if (library == nullptr) return {};
  const auto init = symbol<Init>(library, "cuInit");
  const auto get_version = symbol<GetInt>(library, "cuDriverGetVersion");
  const auto get_count = symbol<GetInt>(library, "cuDeviceGetCount");
  const auto get_device = symbol<GetDevice>(library, "cuDeviceGet");
  const auto get_name = symbol<GetName>(library, "cuDeviceGetName");
  const auto get_memory = symbol<GetMemory>(library, "cuDeviceTotalMem_v2");
  const auto get_attribute = symbol<GetAttribute>(library, "cuDeviceGetAttribute");
  const auto get_bus_id = symbol<GetBusId>(library, "cuDeviceGetPCIBusId");
  if (!init || !get_version || !get_count || !get_device || !get_name || !get_memory || !get_attribute) return {};
  int cuda = 0;
  int count = 0;
  if (init(0) != 0 || get_version(&cuda) != 0 || get_count(&count) != 0 || count == 0) return {};

  const Nvml nvml;
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
    std::array<char, 32> bus_id{};
    const bool on_bus = get_bus_id != nullptr && get_bus_id(bus_id.data(), bus_id.size(), device) == 0;
    Dict entry{{"name", std::string(name.data())},
               {"memory", memory},
               {"free", on_bus ? nvml.free_memory(bus_id.data()) : Value()},
               {"computeCapability", std::to_string(major) + "." + std::to_string(minor)}};
    devices.emplace_back(std::move(entry));
  }
  return Dict{{"cuda", std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10)},
              {"version", nvml.driver_version()},
              {"devices", devices}};
}

}  // namespace cellsam::binding
