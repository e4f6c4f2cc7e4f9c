#include "infer/box_mask_iou.h"

#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/upload.h"
#include "data/instances.h"
#include "infer/batch_limits.h"
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
  std::vector<std::size_t> tiles;
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    if (!rows[i].empty()) tiles.push_back(i);
  }
  for_batches(model, tiles, options, cancelled, each_tile, [&](at::ArrayRef<std::size_t> batch) {
    const MaskPredictor predictor(model, upload(cut_tiles(image, grid, batch), device_of(model)), options);
    std::vector<at::Tensor> prompts;
    for (const auto tile : batch) {
      prompts.push_back(boxes_in_tile(boxes, rows[tile], grid.tiles[tile]));
    }
    constexpr double kEvery = -std::numeric_limits<double>::infinity();
    predictor.predict(prompts, kEvery, cancelled, [&](std::size_t i, Instance found) {
      const auto& tile = grid.tiles[batch[i]];
      const auto row = rows[batch[i]][static_cast<std::size_t>(found.source)];
      const auto mask = clip(moved(std::move(found.mask), tile.x, tile.y), {0, 0, grid.width, grid.height});
      result.ious.data_ptr<double>()[row] =
          iou_with(mask, truth, ids.const_data_ptr<std::int32_t>()[row], areas.const_data_ptr<std::int64_t>()[row]);
    });
  });
  return result;
}

}  // namespace cellsam::infer
