// Where and how a session computes: device, precision and threads, and what the user is told about them.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "base/upload.h"
#include "engine.h"

namespace cellsam::device {

// Reads "cpu", "cuda" or "cuda:N"; "auto" is resolved in TypeScript, which can tell the user why. Throws ERR_DEVICE_UNAVAILABLE
// when this libtorch has no CUDA or no device of that index, ERR_INVALID_ARGUMENT for any other name.
at::Device parse_device(const std::string& name);

enum class Precision { fp32, bf16 };

// Reads "fp32" or "bf16", or "auto" for the one that suits the device: bf16 on a GPU that multiplies in it (compute capability
// 8.0 and above), else fp32. Throws ERR_INVALID_ARGUMENT otherwise.
Precision parse_precision(const std::string& name, const at::Device& device);

std::string name_of(Precision precision);  // "fp32" or "bf16"

// How a session's threads compute.
struct ThreadSettings {
  std::int64_t threads = 1;    // of torch's loops
  bool deterministic = false;  // only algorithms that give the same bits each time
  bool tf32 = false;           // whether a GPU may multiply float32 numbers as TF32, with 10 bits of mantissa
};

// Prepares the calling thread; denormal numbers are flushed to 0. torch keeps that and the number of threads for each thread,
// so every thread that computes calls this first. All else is one setting of the whole process: sessions that compute at the
// same time should agree on it.
void prepare_thread(const ThreadSettings& settings);

// Divides the cores that sessions with the setting 0 take among so many processes that may use the same ones.
void share_cores(std::int64_t processes);

// How many threads a session with this setting has at most: so many, up to the number of cores and OMP_THREAD_LIMIT; 0: all
// cores.
std::int64_t most_threads(std::int64_t wanted);

// How many threads a running command takes. A session that names a number gets it, up to the number of cores. With 0, the cores
// are divided equally among the commands of such sessions that run when this one starts, so that they do not slow each other
// down. Lives as long as the command runs.
class CoreShare {
 public:
  explicit CoreShare(std::int64_t wanted);
  ~CoreShare();
  CoreShare(const CoreShare&) = delete;
  CoreShare& operator=(const CoreShare&) = delete;

  std::int64_t threads() const { return threads_; }

 private:
  bool divides_;
  std::int64_t threads_;
};

// Enables bf16 autocast for a type of device while it exists; does nothing for fp32.
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

// Whether `error` says that a device or the host has no memory left. torch has a class of errors for its own allocators only.
bool is_out_of_memory(const c10::Error& error);

// {torch: version, devices: [{kind, name, precision: what "auto" is there}], cpu_capability, threads: of the machine}.
Dict describe_devices();

}  // namespace cellsam::device
