#include "train/prompt_sampling.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "base/rng.h"

namespace cellsam::train {
namespace {

constexpr std::uint64_t kPromptStream = 2;  // key of a random stream that augmentation does not use

// `count` different numbers of 0 .. n-1 in a random order.
at::Tensor choose(std::int64_t n, std::int64_t count, CounterRng& rng) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto j = i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(n - i)));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
  }
  order.resize(static_cast<std::size_t>(count));
  return at::tensor(order, at::kLong);
}

at::Tensor jitter(const at::Tensor& boxes, double fraction, float tile, CounterRng& rng) {
  auto moved = boxes.clone();
  auto rows = moved.accessor<float, 2>();
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const float width = rows[i][2] - rows[i][0], height = rows[i][3] - rows[i][1];
    for (int edge = 0; edge < 4; ++edge) {
      const float bound = static_cast<float>(fraction) * (edge % 2 == 0 ? width : height);
      rows[i][edge] = std::clamp(rows[i][edge] + bound * static_cast<float>(2 * rng.uniform() - 1), 0.F, tile);
    }
  }
  return moved;
}

}  // namespace

PromptOptions read_prompt_options(Options& options) {
  PromptOptions read;
  read.max_prompts = options.read(setting::stage2::max_prompts).value_or(0);
  read.box_jitter = options.read(setting::stage2::box_jitter);
  read.background_prompt = options.read(setting::stage2::background_prompt);
  return read;
}

std::vector<ImagePrompts> all_prompts(const data::Batch& batch, const PromptOptions& options) {
  std::vector<ImagePrompts> prompts;
  for (std::size_t i = 0; i < batch.instances.size(); ++i) {
    const auto& instances = batch.instances[i];
    const auto image = static_cast<std::int64_t>(i);
    if (instances.ids.size(0) > 0) {
      prompts.push_back({image, instances.boxes, instances.ids});
    } else if (options.background_prompt) {
      const auto side = static_cast<float>(batch.labels.size(1));
      prompts.push_back({image, at::tensor({0.F, 0.F, side, side}).view({1, 4}), at::zeros({1}, at::kInt)});
    }
  }
  return prompts;
}

std::vector<ImagePrompts> draw_prompts(const data::Batch& batch, const PromptOptions& options, const DrawKey& key) {
  auto prompts = all_prompts(batch, options);
  for (auto& image : prompts) {
    const auto sample = batch.indices[static_cast<std::size_t>(image.image)];
    CounterRng rng{key.seed, static_cast<std::uint64_t>(key.epoch), static_cast<std::uint64_t>(sample), kPromptStream};
    const auto n = image.boxes.size(0);
    if (options.max_prompts > 0 && n > options.max_prompts) {
      const auto chosen = choose(n, options.max_prompts, rng);
      image.boxes = image.boxes.index_select(0, chosen);
      image.ids = image.ids.index_select(0, chosen);
    }
    if (options.box_jitter > 0) {
      image.boxes = jitter(image.boxes, options.box_jitter, static_cast<float>(batch.labels.size(1)), rng);
    }
  }
  return prompts;
}

}  // namespace cellsam::train
