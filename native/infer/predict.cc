#include "infer/predict.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/upload.h"
#include "infer/batch_limits.h"
#include "infer/candidates.h"
#include "infer/mask_predictor.h"
#include "infer/tile_grid.h"

namespace cellsam::infer {
namespace {

at::Tensor checked_boxes(const at::Tensor& boxes) {
  if (boxes.dim() != 2 || boxes.size(1) != 4) {
    throw Error("ERR_INVALID_ARGUMENT", "predict: boxes must have the shape [n,4] (x1, y1, x2, y2) in pixels of the image");
  }
  const auto plain = boxes.to(at::kCPU, at::kDouble);
  const auto sides = plain.slice(1, 2, 4) - plain.slice(1, 0, 2);
  if (!plain.isfinite().all().item<bool>() || !sides.gt(0).all().item<bool>()) {
    throw Error("ERR_INVALID_ARGUMENT", "predict: every box must be finite, with x2 > x1 and y2 > y1");
  }
  return plain;
}

// The instances of the user's boxes, in their order.
std::vector<Instance> boxed_instances(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                                      const at::Tensor& boxes, const Cancelled& cancelled, const Each& each_tile) {
  const auto grid = grid_of(image, options);
  // Each box is used in one tile only, so there is nothing to join.
  const auto rows = boxes_by_tile(grid, boxes);
  auto tiles = lit_tiles(image, grid);
  std::erase_if(tiles, [&](std::size_t tile) { return rows[tile].empty(); });
  std::vector<std::vector<Instance>> found(grid.tiles.size());
  for_batches(model, tiles, options, cancelled, each_tile, [&](at::ArrayRef<std::size_t> batch) {
    const MaskPredictor predictor(model, upload(cut_tiles(image, grid, batch), device_of(model)), options);
    std::vector<at::Tensor> prompts;
    for (const auto tile : batch) {
      prompts.push_back(boxes_in_tile(boxes, rows[tile], grid.tiles[tile]));
      found[tile].clear();
    }
    predictor.predict(prompts, options.iou_threshold, cancelled, [&](std::size_t i, Instance instance) {
      instance.score = instance.iou;
      instance.source = rows[batch[i]][static_cast<std::size_t>(instance.source)];
      found[batch[i]].push_back(std::move(instance));
    });
  });
  std::vector<Instance> all;
  for (const auto tile : tiles) {
    auto on_tile = on_image(std::move(found[tile]), grid.tiles[tile], grid);
    std::move(on_tile.begin(), on_tile.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(), [](const Instance& a, const Instance& b) { return a.source < b.source; });
  return all;
}

}  // namespace

Prediction predict(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                   const std::optional<at::Tensor>& user_boxes, const Cancelled& cancelled, const Each& each_tile) {
  c10::NoGradGuard no_grad;
  if (!user_boxes) return assemble(find_candidates(model, image, options, {}, cancelled, each_tile), std::nullopt, options);
  check_image(image);
  const auto boxes = checked_boxes(*user_boxes).contiguous();
  stop_if(cancelled);
  auto instances = boxed_instances(model, image, options, boxes, cancelled, each_tile);
  if (options.overlap == OverlapRule::Score) {
    std::stable_sort(instances.begin(), instances.end(),
                     [](const Instance& a, const Instance& b) { return a.score > b.score; });
  }
  return to_prediction(instances, image.size(1), image.size(2), options);
}

}  // namespace cellsam::infer
