// How a session prepares torch for its device: what it switches on and off, which precision "auto" is, and which CUDA library
// it opens.
#include "device/device.h"

#include <ATen/Context.h>

#include "device/cuda_library.h"
#include "device/gpu.h"
#include "engine/session.h"
#include "native/checks.h"
#include "native/program.h"
#include "native/quiet.h"
#include "native/small_model.h"

namespace cellsam::test::device_program {

namespace {

void check_settings(Checks& checks) {
  auto& torch = at::globalContext();
  // As NVIDIA's containers, torch itself and another program in the process may leave them.
  torch.setAllowTF32CuBLAS(true);
  torch.setAllowTF32CuDNN(true);
  torch.setSDPUseCuDNN(true);
  torch.setUserEnabledNNPACK(true);
  torch.setDeterministicFillUninitializedMemory(true);
  device::prepare_thread({.threads = 1, .deterministic = true});
  checks.holds("float32 is multiplied in float32", !torch.allowTF32CuBLAS() && !torch.allowTF32CuDNN());
  checks.holds("cuDNN's attention, which plans for every shape, is off", !torch.userEnabledCuDNNSDP());
  checks.holds("NNPACK, which warns of machines that it does not know, is off", !torch.userEnabledNNPACK());
  checks.holds("deterministic algorithms", torch.deterministicAlgorithms() && !torch.deterministicAlgorithmsWarnOnly());
  checks.holds("new memory is not filled", !torch.deterministicFillUninitializedMemory());
  device::prepare_thread({.threads = 1, .tf32 = true});
  checks.holds("TF32 where it is asked for", torch.allowTF32CuBLAS() && torch.allowTF32CuDNN());
  checks.holds("other algorithms again", !torch.deterministicAlgorithms());
  device::prepare_thread({.threads = 1});
  checks.holds("and no TF32 any more", !torch.allowTF32CuBLAS() && !torch.allowTF32CuDNN());
}

// A session's own choice counts in each of its commands, whatever another session has set meanwhile.
void check_sessions(Checks& checks) {
  auto& torch = at::globalContext();
  const auto open = [](const char* precision) {
    Options options(
        Dict{{"size", "tiny"}, {"overrides", small_sizes()}, {"threads", 1}, {"float32_matmul_precision", precision}}, "open");
    return engine::open_model(options);
  };
  const auto high = open("high"), highest = open("highest");
  Quiet control;
  high->call("digest", Dict{}, control);
  checks.holds("high is TF32", torch.allowTF32CuBLAS() && torch.allowTF32CuDNN());
  highest->call("digest", Dict{}, control);
  checks.holds("highest is float32", !torch.allowTF32CuBLAS() && !torch.allowTF32CuDNN());
}

// Compute capabilities and what NVIDIA's tensor cores multiply there.
void check_precision(Checks& checks) {
  using device::Precision;
  const auto of = [](int major, int minor) {
    return device::multiplies_bf16(os::Gpu{.capability_major = major, .capability_minor = minor});
  };
  checks.holds("V100 and T4 do not multiply bf16", !of(7, 0) && !of(7, 5));
  checks.holds("A100, RTX 30, RTX 40, H100, B200 and RTX 50 do",
               of(8, 0) && of(8, 6) && of(8, 9) && of(9, 0) && of(10, 0) && of(12, 0));
  checks.holds("nor does what is not known", !device::multiplies_bf16(std::nullopt));
  checks.holds("auto is fp32 on the CPU", device::parse_precision("auto", at::kCPU) == Precision::fp32);
  checks.holds("bf16 is what is asked for", device::parse_precision("bf16", at::kCPU) == Precision::bf16);
}

void check_library(Checks& checks) {
  using device::cuda_library_of;
  const std::string engine = "libcellsam_engine-2.14.so";
  checks.holds("for CUDA 13", cuda_library_of(engine, 13) == "libcellsam_cuda-2.14-cu13.so");
  checks.holds("and for CUDA 12 another", cuda_library_of(engine, 12) == "libcellsam_cuda-2.14-cu12.so");
  checks.holds("none belongs to a test program", cuda_library_of("programs", 13).empty());
}

}  // namespace

TEST_PROGRAM(device) {
  Checks checks("device");
  check_settings(checks);
  check_sessions(checks);
  check_precision(checks);
  check_library(checks);
  return checks.finish();
}

}  // namespace cellsam::test::device_program
