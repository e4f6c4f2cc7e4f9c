// Chooses the attention kernels that this processor can run.
#include "kernels/attention_kernels.h"

#include "base/switch.h"
#include "kernels/isa.h"

namespace cellsam::kernels::attention {

#if defined(__x86_64__)
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();
#endif

namespace {

Switch& fused_attention() {
  static Switch on("CELLSAM_FUSED_ATTENTION");
  return on;
}

thread_local int pauses = 0;

}  // namespace

const Kernels* kernels(bool bf16) {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return bf16 && has_bf16_products() ? &avx512_bf16_kernels() : &avx512_kernels();
  if (isa() == Isa::avx2) return &avx2_kernels();
#endif
  return nullptr;
}

bool enabled() { return fused_attention().on() && pauses == 0; }
void set_enabled(bool enabled) { fused_attention().set(enabled); }

Pause::Pause() { ++pauses; }
Pause::~Pause() { --pauses; }

}  // namespace cellsam::kernels::attention
