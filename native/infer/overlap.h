// Resolves overlaps: from a list of instances to a label map, in which every pixel belongs to one instance at most.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

// Makes the label map of OverlapRule::Score, cell by cell.
class Painter {
 public:
  Painter(std::int64_t height, std::int64_t width, const PredictOptions& options);

  // Fills the holes of the cell's mask, gives `id` (not 0) to those of its pixels that are free, and returns these. Paints and
  // returns nothing if they are less than the fraction min_visible of the mask, or less than min_area. With largest_piece a
  // cell is one piece: of the mask, and then of its free pixels, only the largest piece is kept.
  Mask paint(const Mask& mask, std::int32_t id);

  // Frees the pixels that paint() returned.
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
  std::vector<std::int64_t> kept;  // the instance of id i + 1 is instances[kept[i]]
};

// Applies options.overlap, min_area, min_visible and remove_boundaries.
//   Score:    instances are ordered by falling score; each gets the pixels of its mask that better ones have left, see Painter.
//   Official: a later instance takes pixels from earlier ones. Then each label in turn fills its holes, whatever is in them, or
//   is
//             removed if it is smaller than min_area.
Resolved resolve_overlaps(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options);

}  // namespace cellsam::infer
