// A network whose step takes milliseconds.
#pragma once

#include <cstdint>

#include "engine.h"
#include "model/cellsam.h"

namespace cellsam::test {

constexpr std::int64_t kSmallSide = 64;  // pixels

// Fields of the size table in which it differs from `tiny`.
inline Dict small_sizes() {
  return {{"image_size", kSmallSide}, {"patch", 8},         {"embed_dim", 32},   {"depth", 2},       {"heads", 2},
          {"prompt_dim", 32},         {"decoder_heads", 2}, {"decoder_mlp", 64}, {"iou_hidden", 32}, {"detector_dim", 32},
          {"detector_heads", 2},      {"detector_ffn", 64}, {"num_queries", 16}};
}

inline model::CellSam small_model(std::uint64_t seed) {
  return model::draw_weights(model::model_size("tiny", small_sizes()), /*with_model_cp=*/false, seed);
}

}  // namespace cellsam::test
