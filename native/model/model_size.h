// Every width, depth and count of a CellSAM network, and the table of
// named sizes. The networks take all of their numbers from here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"

namespace cellsam::model {

// The fields are options of model_size() by the same names. Those without a comment are counts or numbers of channels.
struct ModelSize {
  std::string name;

  // Both vision transformers, SAM's and CellFinder's.
  std::int64_t image_size = 1024;  // pixels a side
  std::int64_t patch = 16;         // pixels a side
  std::int64_t embed_dim = 768;
  std::int64_t depth = 12;
  std::int64_t heads = 12;
  double mlp_ratio = 4.0;    // hidden channels of a block's perceptron / embed_dim
  std::int64_t window = 14;  // tokens a side; 0: attention of every block is global
  std::vector<std::int64_t> global_blocks = {2, 5, 8, 11};

  // Neck, prompt encoder and mask decoder.
  std::int64_t prompt_dim = 256;
  std::int64_t mask_in_chans = 16;
  std::int64_t decoder_depth = 2;
  std::int64_t decoder_heads = 8;
  std::int64_t decoder_mlp = 2048;
  std::int64_t num_multimask = 3;
  std::int64_t iou_depth = 3;
  std::int64_t iou_hidden = 256;

  // CellFinder's Anchor DETR. It predicts `num_queries * num_patterns` boxes in each image.
  std::int64_t detector_dim = 256;
  std::int64_t detector_heads = 8;
  std::int64_t detector_ffn = 1024;
  std::int64_t encoder_layers = 6;
  std::int64_t decoder_layers = 6;
  std::int64_t num_queries = 3500;
  std::int64_t num_patterns = 1;
  std::int64_t num_classes = 2;

  // Positions and initialisation. The defaults are the official ones, which suit a grid of 64 x 64 and pretrained weights.
  double position_temperature = 10000.0;  // of the detector's sine embeddings (sine_embedding.h)
  double position_scale = 1.0;            // positions in 0..1 are multiplied by it before the sine
  bool local_attention_init = false;      // see attention_init.h
  double local_attention_gain = 2.0;      // scale of its orthogonal matrices
  bool grid_anchors = false;              // anchors start on a square grid instead of uniformly random

  std::int64_t grid() const { return image_size / patch; }  // image tokens a side
  std::int64_t num_boxes() const { return num_queries * num_patterns; }
};

// vit_b (CellSAM's own), vit_l and vit_h (with SAM's larger image encoders) and tiny (trains from scratch on a CPU in minutes).
const std::vector<ModelSize>& model_sizes();

// The size called `name`, with the fields that `overrides` (an object, or null) has replaced; `name` may be among them. Throws
// ERR_INVALID_ARGUMENT for an unknown name or field, a wrong type, and sizes that validate() refuses.
ModelSize model_size(const std::string& name, const Value& overrides = {});

// Throws ERR_INVALID_ARGUMENT, naming the fields, unless networks can be built from `size`.
void validate(const ModelSize& size);

// Every field by name: model_size(name, describe(size)) returns `size` again.
Dict describe(const ModelSize& size);

}  // namespace cellsam::model
