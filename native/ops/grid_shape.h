// The sizes of an attention over a grid of image tokens, whole or in windows.
#pragma once

#include <cstdint>

namespace cellsam::ops {

// What attends to what: windows of side x side tokens of a grid x grid map, those at the bottom and the right filled up with
// tokens whose query, key and value are the row `pad` below. side = grid is attention over everything.
struct GridShape {
  std::int64_t batch, grid, side, heads, width;  // width: channels of a head

  std::int64_t windows() const { return (grid + side - 1) / side; }             // along an axis
  std::int64_t tasks() const { return batch * windows() * windows() * heads; }  // AttentionTasks
};

}  // namespace cellsam::ops
