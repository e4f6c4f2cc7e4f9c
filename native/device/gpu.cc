#include "device/gpu.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include <cstddef>

namespace cellsam::device {

std::optional<os::Gpu> gpu_of(const c10::Device& device) {
  if (!device.is_cuda()) return std::nullopt;
  static const auto driver = os::gpu_driver();
  const auto index = static_cast<std::size_t>(device.has_index() ? device.index() : 0);
  if (!driver || index >= driver->gpus.size()) return std::nullopt;
  return driver->gpus[index];
}

bool multiplies_bf16(const std::optional<os::Gpu>& gpu) { return gpu && gpu->capability_major >= 8; }

std::string model_of(const c10::Device& device) {
  auto model = c10::DeviceTypeName(device.type(), /*lower_case=*/true);
  if (const auto gpu = gpu_of(device)) model += ' ' + gpu->name;
  const auto& hooks = at::detail::getCUDAHooks();
  if (device.is_cuda() && hooks.compiledWithCuDNN()) model += " cudnn " + std::to_string(hooks.versionRuntimeCuDNN());
  return model;
}

}  // namespace cellsam::device
