// The vector loops of the CPU attention kernel (grid_attention_cpu.cc). Scores lie transposed, one row a key and one column a
// query, so that every softmax statistic is a row and no loop ever sums across a vector. Compiled for AVX-512, AVX2 and plain.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// A block of scores [keys,n], keys = rows * side in the order of the grid; n is a multiple of 16. rel_h [rows,n] and rel_w
// [side,n] hold what a key's row and column add to each query's score.
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

// Backward: P = exp(scale * scores + rel_h + rel_w - lse) replaces the scores and D = P * (slopes - delta) the slopes [keys,n].
// The sums of D over each key row and key column are added to slope_h [rows,n] and slope_w [side,n].
void score_slopes(const ScoreBlock& block, const float* lse, const float* delta, float* slopes, float* slope_h, float* slope_w);

// rows [count,n] as bf16: one after another, or paired as above. count may be odd only in pair_rows.
void round_rows(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out);
void pair_rows(const float* rows, std::int64_t count, std::int64_t n, std::uint16_t* out);

// block [count,n] *= factors [n], row by row.
void scale_rows(float* block, std::int64_t count, std::int64_t n, const float* factors);

}  // namespace cellsam::kernels
