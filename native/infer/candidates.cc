#include "infer/candidates.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "engine.h"
#include "infer/mask_predictor.h"
#include "infer/stitch.h"

namespace cellsam::infer {

double Candidates::floor() const {
  double highest = 0;
  for (const auto& tile : tiles) highest = std::max(highest, tile.floor);
  return highest;
}

Candidates find_candidates(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                           const CandidateLimits& limits, const Cancelled& cancelled, const Each& each_tile) {
  c10::NoGradGuard no_grad;
  check_image(image);
  Candidates candidates{grid_of(image, options), {}};
  const auto& tiles = candidates.grid.tiles;
  candidates.tiles.resize(tiles.size());
  for_each(each_tile, std::ssize(tiles), [&](std::int64_t i) {
    const auto& tile = tiles[static_cast<std::size_t>(i)];
    auto& of_tile = candidates.tiles[static_cast<std::size_t>(i)];
    stop_if(cancelled);
    const auto pixels = cut_tile(image, tile);
    if (!pixels.any().item<bool>()) return;  // all black, on which the official code crashes
    const auto found = detect(model, pixels, options, limits);
    of_tile.threshold = found.threshold;
    of_tile.floor = found.floor;
    if (found.scores.numel() == 0) return;
    auto instances = MaskPredictor(model, pixels, options).predict(found.boxes, options.iou_threshold, cancelled);
    for (auto& instance : instances) {
      instance.score = found.scores[instance.source].item<double>();
      instance.source = -1;
    }
    of_tile.instances = on_image(std::move(instances), tile, candidates.grid);
  });
  return candidates;
}

Prediction assemble(const Candidates& candidates, std::optional<double> threshold, const PredictOptions& options) {
  if (threshold && *threshold < candidates.floor()) {
    throw Error("ERR_INVALID_ARGUMENT", "the threshold lies below the floor of the candidates; find them with a lower floor",
                {{"threshold", *threshold}, {"floor", candidates.floor()}});
  }
  std::vector<std::vector<Instance>> found;
  for (const auto& tile : candidates.tiles) {
    auto& passed = found.emplace_back();
    std::copy_if(tile.instances.begin(), tile.instances.end(), std::back_inserter(passed),
                 [limit = threshold.value_or(tile.threshold)](const Instance& instance) { return instance.score > limit; });
  }
  const auto instances = stitch(candidates.grid, std::move(found));
  return to_prediction(instances, candidates.grid.height, candidates.grid.width, options);
}

}  // namespace cellsam::infer
