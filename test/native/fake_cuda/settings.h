// What the environment asks of the pretend device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fake_cuda {

struct Settings {
  int devices;                       // FAKE_CUDA_DEVICES: 1 or 2 (default)
  std::size_t memory;                // FAKE_CUDA_MEMORY_MB, in bytes, of each device; default 16 GiB
  std::string report;                // FAKE_CUDA_REPORT: lines are appended to this file; default standard error
  bool places;                       // FAKE_CUDA_PLACES=1: launches are counted by place too, as waits always are
  std::uint64_t failing_allocation;  // FAKE_CUDA_FAIL_ALLOCATION=N: the N-th of the process is out of memory
  std::string failing_operator;      // FAKE_CUDA_FAIL_OPERATOR=NAME@N: the N-th call of this operator fails
  std::uint64_t failing_call;
  bool kernels;  // FAKE_CUDA_KERNELS=0: libcellsam_cuda holds no code that the devices can run
};

const Settings& settings();

}  // namespace fake_cuda
