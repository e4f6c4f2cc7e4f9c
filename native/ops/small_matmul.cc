#include "ops/small_matmul.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

namespace cellsam::ops {
namespace {

// Tiles of 16: a column of the one and a row of the other stay in the first cache.
template <class T>
void transpose_of(const T* rows, std::int64_t count, std::int64_t width, T* out) {
  constexpr std::int64_t kTile = 16;
  for (std::int64_t top = 0; top < count; top += kTile) {
    const auto bottom = std::min(top + kTile, count);
    for (std::int64_t left = 0; left < width; left += kTile) {
      const auto right = std::min(left + kTile, width);
      for (auto column = left; column < right; ++column) {
        for (auto row = top; row < bottom; ++row) out[column * count + row] = rows[row * width + column];
      }
    }
  }
}

// [2,3] x [3 or 4,16]: 1s and 2s, whose products are exact in every type.
template <class T>
bool try_product() {
  constexpr std::int64_t kRows = 2, kColumns = 16, kInner = 4;
  std::vector<T> a(kRows * kInner), b(kInner * kColumns), packed(kInner * kColumns);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(static_cast<float>(1 + i % 3));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(static_cast<float>(1 + i % 5));
  std::vector<float> c(kRows * kColumns, 1.0F);
  pack_rows(b.data(), kInner, kColumns, packed.data());
  multiply(kRows, kColumns, kInner, a.data(), kInner, packed.data(), c.data(), true);
  release_multiply();
  for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
    float expected = 1;
    for (std::int64_t k = 0; k < kInner; ++k) {
      expected += static_cast<float>(a[i / kColumns * kInner + k]) * static_cast<float>(b[k * kColumns + i % kColumns]);
    }
    if (c[i] != expected) return false;
  }
  return true;
}

template <class T>
bool probe() {
  try {
    return try_product<T>();
  } catch (const std::exception&) {  // c10::Error: no such kernel on this CPU or in this build of torch
    return false;
  }
}

}  // namespace

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda, const float* b, float* c,
              bool add, std::int64_t ldc) {
  at::native::cpublas::brgemm(m, n, k, lda, n, ldc == 0 ? n : ldc, add, a, b, c, /*is_vnni=*/false);
}

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const at::BFloat16* a, std::int64_t lda, const at::BFloat16* b,
              float* c, bool add, std::int64_t ldc) {
  at::native::cpublas::brgemm(m, n, k, lda, n, ldc == 0 ? n : ldc, add, a, b, c, /*is_vnni=*/true);
}

void release_multiply() { at::native::cpublas::brgemm_release(); }

bool can_multiply(at::ScalarType type) {
  static const bool fp32 = probe<float>(), bf16 = probe<at::BFloat16>();
  return type == at::kFloat ? fp32 : type == at::kBFloat16 && bf16;
}

void pack_rows(const float* rows, std::int64_t count, std::int64_t width, float* out) {
  std::memcpy(out, rows, static_cast<std::size_t>(count * width) * sizeof(float));
}

void pack_rows(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out) {
  for (std::int64_t row = 0; row < count; row += 2, rows += 2 * width, out += 2 * width) {
    for (std::int64_t i = 0; i < width; ++i) {
      out[2 * i] = rows[i];
      out[2 * i + 1] = rows[width + i];
    }
  }
}

void pack_columns(const float* rows, std::int64_t count, std::int64_t width, float* out) {
  transpose_of(rows, count, width, out);
}

// Pairs move as one number of 32 bits.
void pack_columns(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out) {
  transpose_of(reinterpret_cast<const std::uint32_t*>(rows), count, width / 2, reinterpret_cast<std::uint32_t*>(out));
}

void transpose(const float* rows, std::int64_t count, std::int64_t width, float* out) { transpose_of(rows, count, width, out); }

void transpose(const at::BFloat16* rows, std::int64_t count, std::int64_t width, at::BFloat16* out) {
  transpose_of(rows, count, width, out);
}

}  // namespace cellsam::ops
