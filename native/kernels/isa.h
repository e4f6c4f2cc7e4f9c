// Which vector instructions the hand-written loops use: the widest that this CPU has, unless somebody asks for less. A loop is
// compiled once per level from one source and gives the same bits on every level.
#pragma once

namespace cellsam::kernels {

enum class Isa {  // ascending
  portable,
  avx2,    // with FMA
  avx512,  // F, BW, DQ and VL
};

// What CPU and operating system offer; `portable` on every other architecture.
Isa best_isa();

// The level in use. CELLSAM_ISA=portable|avx2|avx512 in the environment lowers it for the whole process.
Isa isa();

// Lowers it at run time, for tests that go through the levels; never above the best. Not while other threads compute.
void use_isa(Isa level);

// Instructions of some CPUs of a level, or of any.
bool has_bf16_products();  // AVX512_BF16
bool has_sha();            // SHA with SSE4.1

}  // namespace cellsam::kernels

// Attributes of the copies of a loop: the body is an always_inline function, and each copy inlines it.
#define CELLSAM_INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define CELLSAM_AVX2 __attribute__((target("avx2,fma")))
#if defined(__clang__)
#define CELLSAM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"), min_vector_width(512)))
#else
#define CELLSAM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#endif
#endif

// Defines NAME TAKES as loops::NAME PASSES, compiled once per instruction set and chosen at each call; loops::NAME is a
// CELLSAM_INLINE function. Not by target_clones, whose choice at load time Windows does not have.
#if defined(__x86_64__)
#define CELLSAM_COPIES(RESULT, NAME, TAKES, PASSES)                        \
  namespace {                                                              \
  CELLSAM_AVX2 RESULT NAME##_avx2 TAKES { return loops::NAME PASSES; }     \
  CELLSAM_AVX512 RESULT NAME##_avx512 TAKES { return loops::NAME PASSES; } \
  }                                                                        \
  RESULT NAME TAKES {                                                      \
    switch (isa()) {                                                       \
      case Isa::avx512: return NAME##_avx512 PASSES;                       \
      case Isa::avx2: return NAME##_avx2 PASSES;                           \
      default: return loops::NAME PASSES;                                  \
    }                                                                      \
  }
#else
#define CELLSAM_COPIES(RESULT, NAME, TAKES, PASSES) \
  RESULT NAME TAKES { return loops::NAME PASSES; }
#endif
