#include "kernels/isa.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <initializer_list>

#include "os/process.h"

namespace cellsam::kernels {

namespace {

struct Cpu {
  Isa best = Isa::portable;
  bool bf16_products = false, sha = false;
};

#if defined(__x86_64__)
struct Leaf {
  std::uint32_t eax, ebx, ecx, edx;
};

Leaf cpuid(std::uint32_t leaf, std::uint32_t part = 0) {
  Leaf registers;
  __asm__ volatile("cpuid"
                   : "=a"(registers.eax), "=b"(registers.ebx), "=c"(registers.ecx), "=d"(registers.edx)
                   : "a"(leaf), "c"(part));
  return registers;
}

// Whether the operating system keeps the registers of these bits of XCR0 when it switches threads.
bool keeps_registers(std::uint32_t kinds) {
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kinds) == kinds;
}

bool has(std::uint32_t word, std::initializer_list<int> bits) {
  return std::all_of(bits.begin(), bits.end(), [word](int bit) { return (word >> bit & 1) != 0; });
}

// The numbers of bits and leaves are those of the processor manuals. Asked by hand: __builtin_cpu_supports needs a library that
// clang-cl does not link.
Cpu ask() {
  Cpu cpu;
  if (cpuid(0).eax < 7) return cpu;
  const auto basic = cpuid(1), extended = cpuid(7);
  cpu.sha = has(basic.ecx, {19}) && has(extended.ebx, {29});                 // SSE4.1, SHA
  const bool ymm = has(basic.ecx, {27, 28}) && keeps_registers(0x6);         // OSXSAVE, which xgetbv needs, and AVX
  if (!ymm || !has(basic.ecx, {12}) || !has(extended.ebx, {5})) return cpu;  // FMA, AVX2
  cpu.best = Isa::avx2;
  if (!keeps_registers(0xe6) || !has(extended.ebx, {16, 17, 30, 31})) return cpu;  // AVX512F, DQ, BW, VL
  cpu.best = Isa::avx512;
  cpu.bf16_products = extended.eax >= 1 && has(cpuid(7, 1).eax, {5});
  return cpu;
}
#else
Cpu ask() { return {}; }
#endif

const Cpu& cpu() {
  static const Cpu cpu = ask();
  return cpu;
}

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

Isa best_isa() { return cpu().best; }
bool has_bf16_products() { return cpu().bf16_products; }
bool has_sha() { return cpu().sha; }

Isa isa() { return level().load(std::memory_order_relaxed); }

void use_isa(Isa wish) { level().store(std::min(wish, best_isa())); }

}  // namespace cellsam::kernels
