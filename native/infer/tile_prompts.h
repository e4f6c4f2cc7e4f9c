// The prompts of several tiles in one row, one tile after another, so that the mask decoder can take those of many tiles at
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

class TilePrompts {
 public:
  // boxes: f64 [n,4] for each tile, on the CPU.
  explicit TilePrompts(const std::vector<at::Tensor>& boxes);

  std::int64_t count() const { return boxes_.size(0); }
  const at::Tensor& boxes() const { return boxes_; }  // f64 [count,4]

  struct Place {
    std::size_t tile;
    std::int64_t row;  // of the boxes of that tile
  };
  Place place_of(std::int64_t prompt) const;

  struct Part {
    std::size_t tile;
    std::int64_t count;
  };
  // How many of `count` prompts from `begin` on belong to each tile.
  std::vector<Part> parts(std::int64_t begin, std::int64_t count) const;

 private:
  at::Tensor boxes_;
  std::vector<std::int64_t> ends_;  // of each tile, the number of prompts up to its last
};

}  // namespace cellsam::infer
