// The table of model sizes: every width, depth and count of a CellSAM, so that no network file has literals of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"

namespace cellsam::model {

// Field names are the option names that `model_size` accepts. Pixels, channels and counts unless said otherwise.
struct ModelSize {
  std::string name;

  // SAM backbone (both copies of it: SAM's own and CellFinder's body).
  std::int64_t image_size = 1024;
  std::int64_t patch = 16;
  std::int64_t embed_dim = 768;
  std::int64_t depth = 12;
  std::int64_t heads = 12;
  double mlp_ratio = 4.0;
  std::int64_t window = 14;  // tokens a side; 0 = every block is global
  std::vector<std::int64_t> global_blocks = {2, 5, 8, 11};

  // Prompt encoder and mask decoder. `prompt_dim` is also the neck's width.
  std::int64_t prompt_dim = 256;
  std::int64_t mask_in_chans = 16;
  std::int64_t decoder_depth = 2;
  std::int64_t decoder_heads = 8;
  std::int64_t decoder_mlp = 2048;
  std::int64_t num_multimask = 3;
  std::int64_t iou_depth = 3;
  std::int64_t iou_hidden = 256;

  // CellFinder (Anchor DETR). It answers `num_queries * num_patterns` boxes an image.
  std::int64_t detector_dim = 256;
  std::int64_t detector_heads = 8;
  std::int64_t detector_ffn = 1024;
  std::int64_t encoder_layers = 6;
  std::int64_t decoder_layers = 6;
  std::int64_t num_queries = 3500;
  std::int64_t num_patterns = 1;
  std::int64_t num_classes = 2;

  // How attention starts out. The official values suit a 64x64 grid and pretrained weights.
  double position_temperature = 10000.0;  // of the detector's sine embeddings
  double position_scale = 1.0;            // positions in 0..1 are multiplied by it before the sine
  bool local_attention_init = false;      // equal, orthogonal query and key projections: attention peaks at its own position
  double local_attention_gain = 2.0;      // factor of those orthogonal matrices
  bool grid_anchors = false;              // anchors on a square grid instead of uniformly random ones

  std::int64_t grid() const { return image_size / patch; }
  std::int64_t num_boxes() const { return num_queries * num_patterns; }
};

// vit_b (CellSAM's own), vit_l and vit_h (SAM's wider backbones) and tiny (trains from scratch on a CPU in minutes).
const std::vector<ModelSize>& model_sizes();

// The size called `name` with fields (its name among them) replaced by `overrides` (an object of the fields above, or null).
// ERR_INVALID_ARGUMENT: unknown name or field, wrong type, or sizes that do not divide as the networks need.
ModelSize model_size(const std::string& name, const Value& overrides = {});

// ERR_INVALID_ARGUMENT, naming the fields, unless the networks can be built from `size`.
void validate(const ModelSize& size);

// Every field by name: model_size(name, describe(size)) gives `size` back.
Dict describe(const ModelSize& size);

}  // namespace cellsam::model
