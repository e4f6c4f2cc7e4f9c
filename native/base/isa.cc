#include "base/isa.h"

#include <algorithm>
#include <atomic>

#include "os/process.h"

namespace cellsam {

namespace {

Isa chosen_at_start() {
  const auto wish = os::environment("CELLSAM_ISA");
  if (wish == "portable") return Isa::portable;
  return wish == "avx2" ? std::min(Isa::avx2, best_isa()) : best_isa();
}

std::atomic<Isa>& level() {
  static std::atomic<Isa> level = chosen_at_start();
  return level;
}

}  // namespace

Isa best_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return Isa::avx512;
  }
  if (__builtin_cpu_supports("avx2")) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa isa() { return level().load(std::memory_order_relaxed); }

void use_isa(Isa wish) { level().store(std::min(wish, best_isa())); }

}  // namespace cellsam
