// The GPUs and their driver, from the driver's own libraries: they are known without libtorch, and without using a GPU.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace cellsam::os {

struct Gpu {
  std::string name = {};    // such as "NVIDIA H200"
  std::string bus_id = {};  // empty where it is not known; the same also where CUDA_VISIBLE_DEVICES changes the numbers
  std::size_t memory = 0;   // bytes
  int capability_major = 0, capability_minor = 0;
};

struct GpuDriver {
  int cuda = 0;           // the newest CUDA that it knows: 1000 * major + 10 * minor
  std::vector<Gpu> gpus;  // in CUDA's order
};

// Nothing without a driver or without a GPU. The first call initialises the driver, which may take some tenths of a second.
std::optional<GpuDriver> gpu_driver();

// What nvidia-smi's library tells, which some containers lack: the driver's version, and the free memory of the GPUs.
struct GpuMonitor {
  std::optional<std::string> driver_version;
  std::vector<std::optional<std::size_t>> free_memory;  // bytes, for each GPU asked for
};
GpuMonitor gpu_monitor(const std::vector<Gpu>& gpus);

}  // namespace cellsam::os
