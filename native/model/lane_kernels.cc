// Chooses the lane kernels that this processor can run.
#include "model/lane_kernels.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "base/isa.h"

namespace cellsam::model::lanes {

#if defined(__x86_64__)
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();
#endif

namespace {

std::atomic<bool>& flag() {
  static std::atomic<bool> on = [] {
    const char* value = std::getenv("CELLSAM_FUSED_ATTENTION");
    return value == nullptr || std::string_view(value) != "0";
  }();
  return on;
}

thread_local int pauses = 0;

}  // namespace

const Kernels* kernels(bool half) {
#if defined(__x86_64__)
  static const bool bf16 = __builtin_cpu_supports("avx512bf16"), fma = __builtin_cpu_supports("fma");
  if (isa() == Isa::avx512) return half && bf16 ? &avx512_bf16_kernels() : &avx512_kernels();
  if (isa() == Isa::avx2 && fma) return &avx2_kernels();
#endif
  return nullptr;
}

bool enabled() { return flag() && pauses == 0; }
void set_enabled(bool enabled) { flag() = enabled; }

Pause::Pause() { ++pauses; }
Pause::~Pause() { --pauses; }

}  // namespace cellsam::model::lanes
