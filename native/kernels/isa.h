// Which vector instructions the hand-written loops use: the widest that this CPU has, unless somebody asks for less. A loop is
// compiled once per level from one source, and chosen at run time in one of two ways:
//
// - Loops that a compiler can make vectors of stand in one file, as functions that CELLSAM_COPIES compiles for each level:
//   score_rows.cc, norm_rows.cc, match_cost_kernel.cc, focal_class_kernel.cc, smooth_row.cc.
// - Loops that need intrinsics or compiler options of their level are a template in a header, and have a file for each level
//   that fills a table of functions with it (CMakeLists.txt has the options); CELLSAM_VARIANT chooses the table: attention_*,
//   mask_decoder_kernels_*, mask_loss_kernel_*. Their tables differ, as their functions do.
//
// The levels of one loop need not give the same bits, unless its header says so.
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

// For CELLSAM_VARIANT.
template <class Function>
Function* variant_of(Isa level, Function* portable, Function* avx2, Function* avx512) {
  return level == Isa::avx512 ? avx512 : level == Isa::avx2 ? avx2 : portable;
}

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

// The function of the level among those of a family, for files that are compiled once per level. AVX2 and AVX512 are not named
// on other architectures.
#if defined(__x86_64__)
#define CELLSAM_VARIANT(LEVEL, PORTABLE, AVX2, AVX512) ::cellsam::kernels::variant_of(LEVEL, PORTABLE, AVX2, AVX512)
#else
#define CELLSAM_VARIANT(LEVEL, PORTABLE, AVX2, AVX512) (PORTABLE)
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
