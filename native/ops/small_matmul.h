// Products of small matrices inside one thread, on whatever matrix instructions the CPU has (oneDNN's brgemm, through ATen):
// AMX, AVX-512 with or without bf16, AVX2. The layouts that a bf16 right-hand operand needs are made here too.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::ops {

// C [m,n] = A [m,k] B [k,n], or += when `add`; rows of A are lda apart and those of C ldc (0: n), B is dense and C is float32.
// A bf16 B has its rows in pairs, [k/2,n,2], and an even k.
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b, float* c,
              bool add = false, std::int64_t ldc = 0);
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const at::BFloat16* a, std::int64_t lda, const at::BFloat16* b,
              float* c, bool add = false, std::int64_t ldc = 0);

// Every thread that multiplied calls this when it is done: AMX keeps state that slows other code down.
void release_multiply();

// Whether this CPU multiplies matrices of this type so, tried once on a small product with a known answer.
bool can_multiply(at::ScalarType type);

// B operands from rows [count,width] that lie densely: the rows themselves (inner dimension = count, even for bf16), and their
// transpose (inner dimension = width, even for bf16).
void pack_rows(const float* rows, std::int64_t count, std::int64_t width, float* out);
void pack_rows(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out);
void pack_columns(const float* rows, std::int64_t count, std::int64_t width, float* out);
void pack_columns(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out);

// rows [count,width] -> [width,count]
void transpose(const float* rows, std::int64_t count, std::int64_t width, float* out);
void transpose(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out);

}  // namespace cellsam::ops
