// Where and how a session computes: device, precision, threads. The only file that knows about them by name.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "base/upload.h"
#include "engine.h"

namespace cellsam::device {

// "cpu", "cuda" or "cuda:N". "auto" is resolved by the caller, who can tell the user why. Throws ERR_DEVICE_UNAVAILABLE when
// this libtorch has no CUDA or the index does not exist.
at::Device parse_device(const std::string& name);

enum class Precision { fp32, bf16 };
Precision parse_precision(const std::string& name);

// Threads, flushed denormals and the deterministic flag. torch keeps the first two per thread, so every thread that computes
// calls this first; the flag is the process's, so sessions that compute side by side should agree on it. `threads`: at least 1.
void prepare_thread(std::int64_t threads, bool deterministic);

// One running command's part of the cores: of the commands that run at this moment in sessions without a number of threads (0),
// each takes an equal part when it starts, so that they do not crowd each other out. A session that names a number gets it.
class CoreShare {
 public:
  explicit CoreShare(std::int64_t wanted);
  ~CoreShare();
  CoreShare(const CoreShare&) = delete;
  CoreShare& operator=(const CoreShare&) = delete;

  std::int64_t threads() const { return threads_; }

 private:
  bool shares_;
  std::int64_t threads_;
};

// Runs its scope under bf16 autocast on one device type; does nothing for fp32.
class Autocast {
 public:
  Autocast(at::Device device, Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType type_;
  bool active_;
  bool was_enabled_ = false;
  at::ScalarType was_dtype_ = at::kFloat;
};

// Whether `error` is torch saying that a device or the host has no memory left. The host's allocator has no class for it.
bool is_out_of_memory(const c10::Error& error);

// What `info` answers: torch's version, the devices, CPU capability and threads.
Dict describe_devices();

}  // namespace cellsam::device
