// What kind of GPU a device is.
#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>

#include "os/gpu_driver.h"

namespace cellsam::device {

// By the number that CUDA, and so torch, gives it. Nothing for the CPU, and where the driver does not know it.
std::optional<os::Gpu> gpu_of(const c10::Device& device);

// Whether its tensor cores multiply bfloat16 numbers.
bool multiplies_bf16(const std::optional<os::Gpu>& gpu);

// "cpu", or a GPU's model and the version of cuDNN: devices of one model compute the same bits.
std::string model_of(const c10::Device& device);

}  // namespace cellsam::device
