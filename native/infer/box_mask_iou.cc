#include "infer/box_mask_iou.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "data/instances.h"
#include "infer/mask_predictor.h"
#include "infer/tile_grid.h"

namespace cellsam::infer {
namespace {

// IoU of a predicted mask (in pixels of the image) with the instance `id`, which has true_area pixels.
double iou_with(const Mask& mask, const at::Tensor& labels, std::int32_t id, std::int64_t true_area) {
  const auto* pixels = labels.const_data_ptr<std::int32_t>();
  const std::int64_t width = labels.size(1);
  std::int64_t shared = 0, predicted_area = 0;
  for (const auto& run : mask.runs) {
    for (const auto* pixel = pixels + run.y * width + run.x; pixel < pixels + run.y * width + run.end; ++pixel) {
      predicted_area += *pixel >= 0;  // without ignored pixels (-1)
      shared += *pixel == id;
    }
  }
  return static_cast<double>(shared) / static_cast<double>(predicted_area + true_area - shared);
}

}  // namespace

BoxMaskIou box_mask_iou(model::CellSam& model, const at::Tensor& image, const at::Tensor& labels, const PredictOptions& options,
                        const Cancelled& cancelled, const Each& each_tile) {
  c10::NoGradGuard no_grad;
  if (labels.dim() != 2 || labels.scalar_type() != at::kInt || image.dim() != 3 || labels.size(0) != image.size(1) ||
      labels.size(1) != image.size(2)) {
    throw Error("ERR_INVALID_ARGUMENT", "box_mask_iou: labels must be int32 [H,W] and fit the image [3,H,W]");
  }
  const auto truth = labels.to(at::kCPU).contiguous();
  const auto instances = data::find_instances(truth);
  const auto boxes = instances.boxes.to(at::kCPU, at::kDouble).contiguous();
  const auto ids = instances.ids.to(at::kCPU).contiguous();
  const auto count = ids.numel();
  BoxMaskIou result{ids, at::zeros({count}, at::kDouble)};
  if (count == 0 || !image.any().item<bool>()) return result;
  const auto areas = at::bincount(at::searchsorted(ids, truth.masked_select(truth.gt(0))), {}, count);

  const auto grid = grid_of(image, options);
  const auto rows = boxes_by_tile(grid, boxes);
  auto* const ious = result.ious.data_ptr<double>();
  for_each(each_tile, std::ssize(grid.tiles), [&](std::int64_t number) {
    const auto i = static_cast<std::size_t>(number);
    const auto& tile = grid.tiles[i];
    if (rows[i].empty()) return;
    const MaskPredictor predictor(model, cut_tile(image, tile), options);
    const auto tile_boxes = boxes_in_tile(boxes, tile);
    // A chunk at a time, so that not all masks of a crowded image are in memory at once.
    for (std::size_t begin = 0; begin < rows[i].size(); begin += static_cast<std::size_t>(options.prompt_chunk)) {
      const auto end = std::min(rows[i].size(), begin + static_cast<std::size_t>(options.prompt_chunk));
      const std::vector<std::int64_t> part(rows[i].begin() + begin, rows[i].begin() + end);
      const auto prompts = tile_boxes.index_select(0, at::tensor(part, at::kLong));
      for (auto& found : predictor.predict(prompts, -std::numeric_limits<double>::infinity(), cancelled)) {
        const auto row = part[static_cast<std::size_t>(found.source)];
        const auto mask = clip(moved(std::move(found.mask), tile.x, tile.y), {0, 0, grid.width, grid.height});
        ious[row] = iou_with(mask, truth, ids.const_data_ptr<std::int32_t>()[row], areas.const_data_ptr<std::int64_t>()[row]);
      }
    }
  });
  return result;
}

}  // namespace cellsam::infer
