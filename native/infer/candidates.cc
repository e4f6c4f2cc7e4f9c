#include "infer/candidates.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/upload.h"
#include "engine.h"
#include "infer/batch_limits.h"
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
  const auto& grid = candidates.grid;
  candidates.tiles.resize(grid.tiles.size());
  // The official code crashes on an image that is all black.
  for_batches(model, lit_tiles(image, grid), options, cancelled, each_tile, [&](at::ArrayRef<std::size_t> batch) {
    const auto tiles = upload(cut_tiles(image, grid, batch), device_of(model));
    const auto found = detect(model, tiles, options, limits);
    std::vector<std::int64_t> rows;  // of the batch, with detections
    std::vector<at::Tensor> boxes;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      candidates.tiles[batch[i]] = {found[i].threshold, found[i].floor, {}};
      if (found[i].scores.numel() == 0) continue;
      rows.push_back(static_cast<std::int64_t>(i));
      boxes.push_back(found[i].boxes);
    }
    if (rows.empty()) return;
    const bool all = rows.size() == batch.size();
    const MaskPredictor predictor(model, all ? tiles : tiles.index_select(0, upload(at::tensor(rows), tiles.device())),
                                  options);
    predictor.predict(boxes, options.iou_threshold, cancelled, [&](std::size_t i, Instance instance) {
      const auto row = static_cast<std::size_t>(rows[i]);
      instance.score = found[row].scores[instance.source].item<double>();
      instance.source = -1;
      candidates.tiles[batch[row]].instances.push_back(std::move(instance));
    });
  });
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    auto& instances = candidates.tiles[i].instances;
    instances = on_image(std::move(instances), grid.tiles[i], grid);
  }
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
