// What a caller shows of one cell to get its mask, as SAM takes it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"

namespace cellsam::infer {

struct Point {
  double x = 0;
  double y = 0;
  bool on_cell = true;  // else beside it
};

// At least one of points, box and mask. In pixels of an image or a tile: the centre of the top left pixel is (0.5, 0.5).
struct Prompt {
  std::vector<Point> points = {};
  std::optional<std::array<double, 4>> box = {};  // (x1, y1, x2, y2)
  at::Tensor mask = {};                           // f32 [4g,4g], logits of an earlier answer in the same tile; undefined: none
  bool multimask = false;  // choose the best of SAM's three masks, for a prompt that may mean several things
};

// The prompt in pixels of a tile that begins at (x, y).
Prompt in_tile(Prompt prompt, const Window& tile);

// The smallest box that holds what the prompt shows of the cell: its box, else its points on the cell, else all its points.
std::array<double, 4> extent_of(const Prompt& prompt);

}  // namespace cellsam::infer
