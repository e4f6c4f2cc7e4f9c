#include "driver.h"

#include "os/gpu_driver.h"

namespace cellsam::binding {
namespace {

template <class T>
Value or_null(const std::optional<T>& known) {
  return known ? Value(*known) : Value();
}

}  // namespace

Value driver_info() {
  const auto driver = os::gpu_driver();
  if (!driver) return {};
  const auto monitor = os::gpu_monitor(driver->gpus);
  List devices;
  for (std::size_t i = 0; i < driver->gpus.size(); ++i) {
    const auto& gpu = driver->gpus[i];
    const auto capability = std::to_string(gpu.capability_major) + "." + std::to_string(gpu.capability_minor);
    devices.emplace_back(Dict{{"name", gpu.name},
                              {"memory", gpu.memory},
                              {"free", or_null(monitor.free_memory[i])},
                              {"computeCapability", capability}});
  }
  return Dict{{"cuda", std::to_string(driver->cuda / 1000) + "." + std::to_string(driver->cuda % 1000 / 10)},
              {"version", or_null(monitor.driver_version)},
              {"devices", devices}};
}

}  // namespace cellsam::binding
