#include "device/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <thread>

#include "device/gpu.h"
#include "os/process.h"

namespace cellsam::device {

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "cuda" || name.starts_with("cuda:")) {
    const auto count = at::detail::getCUDAHooks().deviceCount();
    const int index = name == "cuda" ? 0 : std::atoi(name.c_str() + 5);
    if (index >= 0 && index < count) return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
    throw Error("ERR_DEVICE_UNAVAILABLE",
                "device \"" + name + "\" is not there: this libtorch sees " + std::to_string(count) +
                    " CUDA devices. Run `npx cellsam doctor`, or set device to \"cpu\".",
                {{"devices", static_cast<std::int64_t>(count)}});
  }
  throw Error("ERR_INVALID_ARGUMENT", "unknown device \"" + name + "\": use \"cpu\", \"cuda\" or \"cuda:N\"");
}

Precision parse_precision(const std::string& name, const at::Device& device) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  if (name == "auto") return multiplies_bf16(gpu_of(device)) ? Precision::bf16 : Precision::fp32;
  throw Error("ERR_INVALID_ARGUMENT", "unknown precision \"" + name + "\": use \"auto\", \"fp32\" or \"bf16\"");
}

std::string name_of(Precision precision) { return precision == Precision::bf16 ? "bf16" : "fp32"; }

namespace {

// OpenMP starts no more threads than OMP_THREAD_LIMIT. Whoever asks torch for more gets wrong products of bf16 matrices.
std::int64_t openmp_limit() {
  const char* limit = std::getenv("OMP_THREAD_LIMIT");
  const auto threads = limit == nullptr ? 0 : std::strtoll(limit, nullptr, 10);
  return threads > 0 ? threads : std::numeric_limits<std::int64_t>::max();
}

std::int64_t cores() {
  const auto found = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  return std::min(found, openmp_limit());
}

std::atomic<std::int64_t> running{0};    // commands that divide the cores among them
std::atomic<std::int64_t> processes{1};  // that do

std::int64_t own_cores() { return std::max<std::int64_t>(1, cores() / processes); }

}  // namespace

void share_cores(std::int64_t with) { processes = std::max<std::int64_t>(1, with); }

std::int64_t most_threads(std::int64_t wanted) { return wanted <= 0 ? own_cores() : std::min(wanted, cores()); }

CoreShare::CoreShare(std::int64_t wanted) : divides_(wanted <= 0) {
  threads_ = divides_ ? std::max<std::int64_t>(1, own_cores() / ++running) : most_threads(wanted);
}

CoreShare::~CoreShare() {
  if (divides_) --running;
}

void prepare_thread(const ThreadSettings& settings) {
  auto& torch = at::globalContext();
  at::set_num_threads(static_cast<int>(settings.threads));
  torch.setFlushDenormal(true);
  // cuBLAS reads this when its first handle is made, and torch refuses to multiply deterministically without it.
  if (settings.deterministic) os::set_default_environment("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
  torch.setDeterministicAlgorithms(settings.deterministic, /*warn_only=*/false);
  // In that mode torch also fills new tensors with NaN, a kernel for each, to show who reads them too early. None of ours does.
  torch.setDeterministicFillUninitializedMemory(false);
  // By default torch lets cuDNN compute float32 convolutions in TF32, and NVIDIA's containers let cuBLAS do so too
  // (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1).
  torch.setAllowTF32CuDNN(settings.tf32);
  torch.setAllowTF32CuBLAS(settings.tf32);
  // cuDNN plans its attention anew for every shape, which takes about a second, and ours change with the number of prompts.
  torch.setSDPUseCuDNN(false);
  // NNPACK warns at every convolution of a machine that it does not know, and oneDNN does its part as well.
  torch.setUserEnabledNNPACK(false);
}

Autocast::Autocast(at::Device device, Precision precision) : type_(device.type()), active_(precision == Precision::bf16) {
  if (!active_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(type_);
  was_dtype_ = at::autocast::get_autocast_dtype(type_);
  at::autocast::set_autocast_enabled(type_, true);
  at::autocast::set_autocast_dtype(type_, at::kBFloat16);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(type_, was_enabled_);
  at::autocast::set_autocast_dtype(type_, was_dtype_);
}

bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  // Of torch's allocator on the host, and of oneDNN, which does not say why it got no memory for a kernel.
  const std::string_view message = error.what_without_backtrace();
  const auto says = [&](std::string_view words) { return message.find(words) != std::string_view::npos; };
  const auto ends_with = [&](std::string_view words) { return message.substr(0, message.find('\n')).ends_with(words); };
  if (says("can't allocate memory") || ends_with("could not create a primitive")) return true;
  // What CUDA and its libraries allocate by themselves: contexts, kernels, streams and workspaces.
  return says("CUDA error: out of memory") || says("CUBLAS_STATUS_ALLOC_FAILED") || says("CUDNN_STATUS_ALLOC_FAILED") ||
         says("CUSOLVER_STATUS_ALLOC_FAILED");
}

Dict describe_devices() {
  List devices{Dict{{"kind", "cpu"}, {"name", at::get_cpu_capability()}, {"precision", name_of(Precision::fp32)}}};
  const auto count = at::detail::getCUDAHooks().deviceCount();
  for (int i = 0; i < count; ++i) {
    const at::Device gpu(at::kCUDA, static_cast<at::DeviceIndex>(i));
    devices.push_back(Dict{{"kind", "cuda"}, {"name", gpu.str()}, {"precision", name_of(parse_precision("auto", gpu))}});
  }
  return {{"torch", TORCH_VERSION},
          {"devices", devices},
          {"cpu_capability", at::get_cpu_capability()},
          {"threads", static_cast<std::int64_t>(std::thread::hardware_concurrency())}};
}

}  // namespace cellsam::device
