// Chooses which cells of a batch become box prompts of stage 2: all of
// them in validation; in training a random sample, with jitter.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "base/options.h"
#include "data/batch.h"
#include "settings/stage2.h"
#include "train/stage.h"

namespace cellsam::train {

// The prompts of one image of a batch.
struct ImagePrompts {
  std::int64_t image;  // row in the batch
  at::Tensor boxes;    // f32 [n,4] xyxy in tile pixels
  at::Tensor ids;      // i32 [n] instance ids; 0 for the background prompt, whose target is empty
};

struct PromptOptions {
  std::int64_t max_prompts = 0;  // of an image and step; 0: all
  // Each edge moves by up to this share of the box's side; below 0.5, where a box could turn inside out.
  double box_jitter = setting::stage2::box_jitter.default_value;
  // An image without cells gives one prompt: the whole tile, with an empty target.
  bool background_prompt = setting::stage2::background_prompt.default_value;
};

// Reads the fields by their names; throws ERR_INVALID_ARGUMENT for a value out of range.
PromptOptions read_prompt_options(Options& options);

// The prompts of every image that has any, on the CPU.
std::vector<ImagePrompts> all_prompts(const data::Batch& batch, const PromptOptions& options);

// At most max_prompts of each image, drawn without replacement, with jitter within the tile. The draw depends on the key and on
// the tile's number in the store, not on the rest of the batch.
std::vector<ImagePrompts> draw_prompts(const data::Batch& batch, const PromptOptions& options, const DrawKey& key);

}  // namespace cellsam::train
