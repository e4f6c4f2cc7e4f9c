// The vector loops of the backbone's attention on the CPU: softmax over blocks of scores with decomposed relative positions,
// and its gradient. docs/math.md (3.3) to (3.6):
//   score[k,q] = scale * (key_k . query_q) + rel_h[ky,q] + rel_w[kx,q],   weight = exp(score - largest[q])
// Scores lie transposed, one row a key and one column a query, so that every statistic of a softmax is a row and no loop sums
// across a vector. Called by ops/grid_attention_cpu.cc and ops/grid_attention_cpu_backward.cc; compiled for AVX-512, AVX2 and
// the baseline (CELLSAM_COPIES).
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// A block of scores [keys,n] of n queries, a multiple of 16. keys = rows * side in the order of the grid: `rows` rows of a
// window that is `side` wide. rel_h [rows,n] and rel_w [side,n]: what a key's row and column add to each query's score.
struct ScoreBlock {
  float* scores;
  const float* rel_h;
  const float* rel_w;
  std::int64_t rows, side, n;
  float scale;

  std::int64_t keys() const { return rows * side; }
};

// scores := scale * scores + rel_h + rel_w. Raises `largest` [n] to the largest score of its column.
void add_positions(const ScoreBlock& block, float* largest);

// exp(scores - largest) goes to `out`, whose layout pairs the rows as a bf16 right-hand operand wants them ([keys/2,n,2], a
// last odd row paired with zeros) or leaves them as they are ([keys,n]). Its column sums are added to `sums` [n].
void exponentials(const ScoreBlock& block, const float* largest, float* sums, std::uint16_t* out);
void exponentials(const ScoreBlock& block, const float* largest, float* sums, float* out);

// Backward, (3.4): P = exp(scale * scores + rel_h + rel_w - lse) replaces the scores and D = P * (grads - delta) replaces grads
// [keys,n], the gradients of the weights; lse and delta are [n]. The sums of D over each key row and key column are added to
// grad_rel_h [rows,n] and grad_rel_w [side,n].
void score_grads(const ScoreBlock& block, const float* lse, const float* delta, float* grads, float* grad_rel_h,
                 float* grad_rel_w);

// rows [count,n] as bf16: as they are [count,n], or paired as above [(count+1)/2,n,2].
void bf16_rows(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out);
void bf16_row_pairs(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out);

// block [count,n] *= factors [n], row by row.
void scale_rows(float* block, std::int64_t count, std::int64_t n, const float* factors);

}  // namespace cellsam::kernels
