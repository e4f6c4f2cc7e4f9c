#include "infer/batch_limits.h"

#include "infer/network.h"

namespace cellsam::infer {
namespace {

constexpr std::int64_t kDeviceBudget = std::int64_t{4} << 30;  // bytes
constexpr std::int64_t kHostTiles = 1, kHostPrompts = 32;

// About how many floats the passes keep at most: of a tile in a vision transformer and in the detector, and of a prompt in the
// mask decoder.
std::int64_t floats_of_tile(const model::ModelSize& size) {
  constexpr std::int64_t kMaps = 32;  // as wide as the image tokens
  const auto tokens = size.grid() * size.grid();
  return std::max(kMaps * tokens * size.embed_dim, 2 * size.num_boxes() * size.grid() * size.detector_dim);
}

std::int64_t floats_of_prompt(const model::ModelSize& size) {
  constexpr std::int64_t kMaps = 16;
  return kMaps * size.grid() * size.grid() * size.prompt_dim;
}

std::int64_t chosen(std::int64_t option, at::Device device, std::int64_t on_host, std::int64_t floats) {
  if (option > 0) return option;
  return device.is_cpu() ? on_host : std::max<std::int64_t>(1, kDeviceBudget / (4 * floats));
}

}  // namespace

std::int64_t tiles_at_once(model::CellSam& model, const PredictOptions& options) {
  return chosen(options.tile_batch, device_of(model), kHostTiles, floats_of_tile(model->size()));
}

std::int64_t prompts_at_once(model::CellSam& model, const PredictOptions& options) {
  return chosen(options.prompt_chunk, device_of(model), kHostPrompts, floats_of_prompt(model->size()));
}

}  // namespace cellsam::infer
