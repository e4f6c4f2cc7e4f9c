// Chooses the attention kernels that this processor can run.
#include "kernels/attention_kernels.h"

#include "base/switch.h"
#include "kernels/isa.h"

namespace cellsam::kernels::attention {

// One for each file attention_<set>.cc, on x86-64 alone.
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();
const Kernels* kernels_avx512_bf16();

namespace {

Switch& fused_attention() {
  static Switch on("CELLSAM_FUSED_ATTENTION");
  return on;
}

thread_local int pauses = 0;

const Kernels* no_kernels() { return nullptr; }  // then the caller keeps to ATen

}  // namespace

const Kernels* kernels(bool bf16) {
  return CELLSAM_VARIANT(isa(), no_kernels, kernels_avx2, bf16 && has_bf16_products() ? kernels_avx512_bf16 : kernels_avx512)();
}

bool enabled() { return fused_attention().on() && pauses == 0; }
void set_enabled(bool enabled) { fused_attention().set(enabled); }

Pause::Pause() { ++pauses; }
Pause::~Pause() { --pauses; }

}  // namespace cellsam::kernels::attention
