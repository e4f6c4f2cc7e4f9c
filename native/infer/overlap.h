// Who owns a pixel that several masks claim: from a list of instances to one label map.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

// The label map of rule Score as it grows, cell by cell.
class Painter {
 public:
  Painter(std::int64_t height, std::int64_t width, const PredictOptions& options);

  // Gives the cell, its holes filled, the free pixels of its mask and answers them; none if they are less than min_visible of
  // it or than min_area. With largest_piece a cell is one piece: islands go before the mask is measured, and what better cells
  // cut off goes after. `id` is not 0.
  Mask paint(const Mask& mask, std::int32_t id);

  // Frees what `paint` answered.
  void erase(const Mask& visible);

  const at::Tensor& labels() const { return labels_; }

 private:
  void fill(const Mask& mask, std::int32_t id);

  std::int64_t height_, width_, min_area_;
  double min_visible_;
  bool largest_piece_;
  at::Tensor labels_;  // i32 [H,W]
  std::int32_t* pixels_;
};

struct Resolved {
  at::Tensor labels;               // i32 [H,W], ids 1..n without gaps
  std::vector<std::int64_t> kept;  // id i + 1 is instances[kept[i]]
};

// Applies options.overlap, min_area, min_visible and remove_boundaries.
// Score: instances come in order of falling score; each takes what better ones left of its mask, see Painter.
// Official: a later instance takes the pixels of earlier ones; then each label in turn fills its holes (with whatever lies in
// them), or vanishes if it is smaller than min_area.
Resolved resolve_overlaps(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options);

}  // namespace cellsam::infer
