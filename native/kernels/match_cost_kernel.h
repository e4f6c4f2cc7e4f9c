// The two hot loops of the matching (docs/math.md section 5), in float32, with the same bits on every machine: the class cost
// of each query, and a row of the cost matrix (one target against all Q queries, (5.1) and (5.2)) together with what the
// assignment needs to find the row's cheapest queries. Called by loss/match_task.cc, loss/cheapest.h and loss/hungarian.cc.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam::kernels {

// Columns fall into this many groups by their remainder; the least cost of each group bounds the cheapest ones of a row.
constexpr std::int64_t kColumnGroups = 64;

struct CostWeights {
  float class_weight, bbox_weight, giou_weight;
};

// Predictions of one image in one layer, an array per number: [kinds, padded] with the columns padded to a multiple of
// kColumnGroups. The padding costs 1e38, so it is never among the cheapest.
class CostColumns {
 public:
  // logits [Q,C], boxes [Q,4] as cx, cy, width, height, both without gaps.
  CostColumns(const float* logits, const float* boxes, std::int64_t queries, std::int64_t classes, const CostWeights& weights);

  std::int64_t queries() const { return queries_; }
  std::int64_t padded() const { return padded_; }

  // Costs of all queries for `box` of class `label` into `costs` [padded], and the least of every group [kColumnGroups] into
  // `minima`. False when a cost may be NaN or infinite: some number of the box or of a prediction is so, or far from those of
  // an image.
  bool fill(const float* box, std::int64_t label, float* costs, float* minima) const;

 private:
  const float* part(std::int64_t kind) const { return numbers_.data() + kind * padded_; }

  std::int64_t queries_, padded_;
  CostWeights weights_;
  std::vector<float> numbers_;
  bool all_finite_;  // no prediction makes a cost that is not finite
};

// Least cost of every group of a finished row [columns] into `minima` [kColumnGroups]. False when a cost may be NaN or
// infinite.
bool group_minima(const float* costs, std::int64_t columns, float* minima);
bool group_minima(const double* costs, std::int64_t columns, double* minima);

// The columns of a row whose cost is at most `bound`, ascending, into `found` [columns + 1]; returns how many.
std::int64_t columns_within(const float* costs, std::int64_t columns, float bound, std::int32_t* found);
std::int64_t columns_within(const double* costs, std::int64_t columns, double bound, std::int32_t* found);

}  // namespace cellsam::kernels
