// Chooses which cells of a batch become box prompts of stage 2: all of
// them in validation; in training a random sample, with jitter.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "base/options.h"
#include "data/batch.h"
#include "train/stage.h"

namespace cellsam::train {

// The prompts of one image of a batch.
struct ImagePrompts {
  std::int64_t image;  // row in the batch
  at::Tensor boxes;    // f32 [n,4] xyxy in tile pixels
  at::Tensor ids;      // i32 [n] instance ids; 0 for the background prompt, whose target is empty
};

struct PromptOptions {
  std::int64_t max_prompts = 0;    // of each image in a step; 0: all
  double box_jitter = 0;           // each edge moves by up to this fraction of the box's side; below 0.5
  bool background_prompt = false;  // an image without cells gets one prompt: the whole tile, with an empty target
};

// Reads the fields by their names; throws ERR_INVALID_ARGUMENT for a value out of range.
PromptOptions read_prompt_options(Options& options);

// The prompts of every image that has any, on the CPU.
std::vector<ImagePrompts> all_prompts(const data::Batch& batch, const PromptOptions& options);

// At most max_prompts of each image, drawn without replacement, with jitter within the tile. The draw depends on the key and on
// the tile's number in the store, not on the rest of the batch.
std::vector<ImagePrompts> draw_prompts(const data::Batch& batch, const PromptOptions& options, const DrawKey& key);

}  // namespace cellsam::train
