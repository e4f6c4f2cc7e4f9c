#include "infer/batch_limits.h"

#include "infer/network.h"

namespace cellsam::infer {
namespace {

constexpr std::int64_t kDeviceBudget = std::int64_t{4} << 30;  // bytes
// Four tiles of the size `tiny`, which take an eighth less time than one by one; one of the others.
constexpr std::int64_t kHostBudget = std::int64_t{12} << 20;  // bytes, about what the caches hold
constexpr std::int64_t kHostPrompts = 32;

std::int64_t within(std::int64_t budget, std::int64_t floats) { return std::max<std::int64_t>(1, budget / (4 * floats)); }

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

}  // namespace

std::int64_t tiles_at_once(model::CellSam& model, const PredictOptions& options) {
  if (options.tile_batch > 0) return options.tile_batch;
  return within(device_of(model).is_cpu() ? kHostBudget : kDeviceBudget, floats_of_tile(model->size()));
}

std::int64_t prompts_at_once(model::CellSam& model, const PredictOptions& options) {
  if (options.prompt_chunk > 0) return options.prompt_chunk;
  return device_of(model).is_cpu() ? kHostPrompts : within(kDeviceBudget, floats_of_prompt(model->size()));
}

}  // namespace cellsam::infer
