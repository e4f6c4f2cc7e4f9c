#include "kernels/score_rows.h"

#include "kernels/vector.h"

namespace cellsam::kernels {
namespace loops {

CELLSAM_INLINE void add_positions(const ScoreBlock& block, float* largest) {
  const auto n = block.n;
  const float scale = block.scale;
  for (std::int64_t y = 0; y < block.rows; ++y) {
    const float* rel_h = block.rel_h + y * n;
    for (std::int64_t x = 0; x < block.side; ++x) {
      const float* rel_w = block.rel_w + x * n;
      float* row = block.scores + (y * block.side + x) * n;
      CELLSAM_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) {
        const float score = row[i] * scale + (rel_h[i] + rel_w[i]);
        row[i] = score;
        largest[i] = largest[i] < score ? score : largest[i];
      }
    }
  }
}

CELLSAM_INLINE void exponentials(const ScoreBlock& block, const float* largest, float* sums, float* out) {
  const auto n = block.n;
  for (std::int64_t key = 0; key < block.keys(); ++key) {
    const float* row = block.scores + key * n;
    float* to = out + key * n;
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const float a = exp_fast(row[i] - largest[i]);
      to[i] = a;
      sums[i] += a;
    }
  }
}

CELLSAM_INLINE void exponentials(const ScoreBlock& block, const float* largest, float* sums, std::uint16_t* out) {
  const auto n = block.n, keys = block.keys();
  auto* pairs = reinterpret_cast<std::uint32_t*>(out);
  for (std::int64_t key = 0; key + 1 < keys; key += 2, pairs += n) {
    const float* first = block.scores + key * n;
    const float* second = first + n;
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      const float a = exp_fast(first[i] - largest[i]), b = exp_fast(second[i] - largest[i]);
      sums[i] += a + b;
      pairs[i] = bf16_bits(a) | (bf16_bits(b) << 16);
    }
  }
  if (keys % 2 == 0) return;
  const float* last = block.scores + (keys - 1) * n;
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) {
    const float a = exp_fast(last[i] - largest[i]);
    sums[i] += a;
    pairs[i] = bf16_bits(a);
  }
}

CELLSAM_INLINE void score_grads(const ScoreBlock& block, const float* lse, const float* delta, float* grads, float* grad_rel_h,
                                float* grad_rel_w) {
  const auto n = block.n;
  const float scale = block.scale;
  for (std::int64_t y = 0; y < block.rows; ++y) {
    const float* rel_h = block.rel_h + y * n;
    float* to_h = grad_rel_h + y * n;
    for (std::int64_t x = 0; x < block.side; ++x) {
      const float* rel_w = block.rel_w + x * n;
      float* to_w = grad_rel_w + x * n;
      float* row = block.scores + (y * block.side + x) * n;
      float* grad = grads + (y * block.side + x) * n;
      CELLSAM_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) {
        const float p = exp_fast(row[i] * scale + (rel_h[i] + rel_w[i]) - lse[i]);
        const float d = p * (grad[i] - delta[i]);
        row[i] = p;
        grad[i] = d;
        to_h[i] += d;
        to_w[i] += d;
      }
    }
  }
}

CELLSAM_INLINE void bf16_rows(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < count * n; ++i) out[i] = static_cast<std::uint16_t>(bf16_bits(rows[i]));
}

CELLSAM_INLINE void bf16_row_pairs(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out) {
  auto* pairs = reinterpret_cast<std::uint32_t*>(out);
  for (std::int64_t row = 0; row + 1 < count; row += 2, pairs += n) {
    const float* first = rows + row * n;
    const float* second = first + n;
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) pairs[i] = bf16_bits(first[i]) | (bf16_bits(second[i]) << 16);
  }
  if (count % 2 == 0) return;
  const float* last = rows + (count - 1) * n;
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) pairs[i] = bf16_bits(last[i]);
}

CELLSAM_INLINE void scale_rows(float* block, std::int64_t count, std::int64_t n, const float* factors) {
  for (std::int64_t row = 0; row < count; ++row) {
    float* to = block + row * n;
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) to[i] *= factors[i];
  }
}

}  // namespace loops

CELLSAM_COPIES(void, add_positions, (const ScoreBlock& block, float* largest), (block, largest))
CELLSAM_COPIES(void, exponentials, (const ScoreBlock& block, const float* largest, float* sums, float* out),
               (block, largest, sums, out))
CELLSAM_COPIES(void, exponentials, (const ScoreBlock& block, const float* largest, float* sums, std::uint16_t* out),
               (block, largest, sums, out))
CELLSAM_COPIES(void, score_grads,
               (const ScoreBlock& block, const float* lse, const float* delta, float* grads, float* grad_rel_h,
                float* grad_rel_w),
               (block, lse, delta, grads, grad_rel_h, grad_rel_w))
CELLSAM_COPIES(void, bf16_rows, (const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out),
               (rows, count, n, out))
CELLSAM_COPIES(void, bf16_row_pairs, (const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out),
               (rows, count, n, out))
CELLSAM_COPIES(void, scale_rows, (float* block, std::int64_t count, std::int64_t n, const float* factors),
               (block, count, n, factors))

}  // namespace cellsam::kernels
