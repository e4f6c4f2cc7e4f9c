// Weights and inputs for product and peer: the product draws them and writes them under the official names, both read
// them from the same files.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "base/options.h"
#include "data/batch.h"
#include "model/cellsam.h"
#include "model/model_size.h"
#include "weights/tensor_map.h"

namespace cellsam::bench {

// Reads `size`, `image_size` (0: that of the size) and `queries` (0: likewise).
model::ModelSize read_size(Options& parameters);

// A model with random weights from a fixed seed. Position tables, which start as zeros, get values too: a sum that forgets
// them must not go unnoticed.
model::CellSam draw_model(const model::ModelSize& size);

// Writes those weights whose official names start with `prefix` to weights.safetensors, and reads them back.
void write_weights(const std::string& folder, model::CellSam& model, const std::string& prefix);
void read_weights(const std::string& folder, model::CellSam& model);

void write_inputs(const std::string& folder, const weights::TensorMap& tensors);
at::Tensor read_input(const std::string& folder, const std::string& name);

// One tile with `cells` ellipses on a jittered grid, none touching another: image u8 [1,3,side,side] and labels i32
// [1,side,side].
data::Batch draw_tile(std::int64_t side, std::int64_t cells);

// The tile of a fixture as a batch.
data::Batch read_tile(const std::string& folder);

}  // namespace cellsam::bench
