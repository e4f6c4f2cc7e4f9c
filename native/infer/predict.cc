#include "infer/predict.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "infer/detect.h"
#include "infer/overlap.h"
#include "infer/prompt.h"
#include "infer/stitch.h"

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

std::array<double, 4> row_of(const at::Tensor& boxes, std::int64_t i) {
  const auto* row = boxes.const_data_ptr<double>() + 4 * i;
  return {row[0], row[1], row[2], row[3]};
}

// Cells of one image or tile that the detector found, best first.
std::vector<Instance> detected_instances(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                                         const Cancelled& cancelled) {
  const auto found = detect(model, image, options);
  if (found.scores.numel() == 0) return {};
  auto instances = Prompter(model, image, options).masks(found.boxes, options.iou_threshold, cancelled);
  for (auto& instance : instances) instance.score = found.scores[instance.source].item<double>();
  for (auto& instance : instances) instance.source = -1;
  return instances;
}

// Cells that the user's boxes prompt; `rows` says which of them this image or tile shows.
std::vector<Instance> boxed_instances(model::CellSam& model, const at::Tensor& image, const at::Tensor& boxes,
                                      const std::vector<std::int64_t>& rows, const PredictOptions& options,
                                      const Cancelled& cancelled) {
  if (rows.empty()) return {};
  const auto prompts = boxes.index_select(0, at::tensor(rows, at::kLong));
  auto instances = Prompter(model, image, options).masks(prompts, options.iou_threshold, cancelled);
  for (auto& instance : instances) {
    instance.score = instance.iou;
    instance.source = rows[static_cast<std::size_t>(instance.source)];
  }
  return instances;
}

// From pixels of a tile to pixels of the image; what lies on the padding goes.
std::vector<Instance> moved(std::vector<Instance> instances, const Window& tile, const TileGrid& grid) {
  for (auto& instance : instances) {
    instance.mask.window.x += tile.x;
    instance.mask.window.y += tile.y;
    instance.mask = clip(instance.mask, {0, 0, grid.width, grid.height});
    for (const int corner : {0, 2}) {
      instance.box[corner] += static_cast<double>(tile.x);
      instance.box[corner + 1] += static_cast<double>(tile.y);
    }
  }
  std::erase_if(instances, [](const Instance& instance) { return instance.mask.bits.empty(); });
  return instances;
}

std::vector<Instance> tiled_instances(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                                      const std::optional<at::Tensor>& boxes, const Cancelled& cancelled) {
  const auto grid = tile_grid(image.size(1), image.size(2), options.tile_size, options.tile_overlap);
  std::vector<std::vector<std::int64_t>> rows(grid.tiles.size());
  for (std::int64_t i = 0; boxes && i < boxes->size(0); ++i) rows[best_tile(grid, row_of(*boxes, i))].push_back(i);

  std::vector<std::vector<Instance>> found(grid.tiles.size());
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    const auto& tile = grid.tiles[i];
    if (boxes && rows[i].empty()) continue;
    const auto pixels = cut_tile(image, tile);
    if (!pixels.any().item<bool>()) continue;
    if (boxes) {
      const auto origin = at::tensor({tile.x, tile.y, tile.x, tile.y}, at::kDouble);
      found[i] = moved(boxed_instances(model, pixels, *boxes - origin, rows[i], options, cancelled), tile, grid);
    } else {
      found[i] = moved(detected_instances(model, pixels, options, cancelled), tile, grid);
    }
  }
  if (!boxes) return stitch(grid, std::move(found));
  // A box was prompted in one tile only, so there is nothing to join.
  std::vector<Instance> all;
  for (auto& part : found) std::move(part.begin(), part.end(), std::back_inserter(all));
  std::sort(all.begin(), all.end(), [](const Instance& a, const Instance& b) { return a.source < b.source; });
  return all;
}

Prediction to_prediction(const std::vector<Instance>& instances, const Resolved& resolved) {
  const auto count = static_cast<std::int64_t>(resolved.kept.size());
  Prediction prediction{resolved.labels, at::zeros({count}, at::kDouble), at::zeros({count, 4}, at::kDouble),
                        at::zeros({count}, at::kDouble), at::zeros({count}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& instance = instances[static_cast<std::size_t>(resolved.kept[static_cast<std::size_t>(i)])];
    prediction.scores.data_ptr<double>()[i] = instance.score;
    prediction.ious.data_ptr<double>()[i] = instance.iou;
    prediction.source.data_ptr<std::int64_t>()[i] = instance.source;
    std::copy(instance.box.begin(), instance.box.end(), prediction.boxes.data_ptr<double>() + 4 * i);
  }
  return prediction;
}

}  // namespace

Prediction predict(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                   const std::optional<at::Tensor>& user_boxes, const Cancelled& cancelled) {
  c10::NoGradGuard no_grad;
  check_image(image);
  std::optional<at::Tensor> boxes;
  if (user_boxes) boxes = checked_boxes(*user_boxes).contiguous();
  stop_if(cancelled);

  std::vector<Instance> instances;
  if (!image.any().item<bool>()) {
    // Nothing to see. The official code crashes here.
  } else if (options.tile_size > 0) {
    instances = tiled_instances(model, image, options, boxes, cancelled);
  } else if (boxes) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(boxes->size(0)));
    std::iota(rows.begin(), rows.end(), 0);
    instances = boxed_instances(model, image, *boxes, rows, options, cancelled);
  } else {
    instances = detected_instances(model, image, options, cancelled);
  }
  if (!boxes || options.overlap == OverlapRule::Score) {
    std::stable_sort(instances.begin(), instances.end(),
                     [](const Instance& a, const Instance& b) { return a.score > b.score; });
  }
  return to_prediction(instances, resolve_overlaps(instances, image.size(1), image.size(2), options));
}

}  // namespace cellsam::infer
