#include "infer/predict.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

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

// Instances of some of the user's boxes, `rows`, in an image or tile.
std::vector<Instance> boxed_instances(model::CellSam& model, const at::Tensor& image, const at::Tensor& boxes,
                                      const std::vector<std::int64_t>& rows, const PredictOptions& options,
                                      const Cancelled& cancelled) {
  if (rows.empty()) return {};
  const auto prompts = boxes.index_select(0, at::tensor(rows, at::kLong));
  auto instances = MaskPredictor(model, image, options).predict(prompts, options.iou_threshold, cancelled);
  for (auto& instance : instances) {
    instance.score = instance.iou;
    instance.source = rows[static_cast<std::size_t>(instance.source)];
  }
  return instances;
}

std::vector<Instance> tiled_instances(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                                      const at::Tensor& boxes, const Cancelled& cancelled, const Each& each_tile) {
  const auto grid = grid_of(image, options);
  const auto rows = boxes_by_tile(grid, boxes);
  std::vector<std::vector<Instance>> found(grid.tiles.size());
  for_each(each_tile, std::ssize(grid.tiles), [&](std::int64_t number) {
    const auto i = static_cast<std::size_t>(number);
    const auto& tile = grid.tiles[i];
    if (rows[i].empty()) return;
    const auto pixels = cut_tile(image, tile);
    if (!pixels.any().item<bool>()) return;
    found[i] = on_image(boxed_instances(model, pixels, boxes_in_tile(boxes, tile), rows[i], options, cancelled), tile, grid);
  });
  // Each box is used in one tile only, so there is nothing to join.
  std::vector<Instance> all;
  for (auto& of_tile : found) std::move(of_tile.begin(), of_tile.end(), std::back_inserter(all));
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
  std::vector<Instance> instances;
  if (image.any().item<bool>()) instances = tiled_instances(model, image, options, boxes, cancelled, each_tile);
  if (options.overlap == OverlapRule::Score) {
    std::stable_sort(instances.begin(), instances.end(),
                     [](const Instance& a, const Instance& b) { return a.score > b.score; });
  }
  return to_prediction(instances, image.size(1), image.size(2), options);
}

}  // namespace cellsam::infer
