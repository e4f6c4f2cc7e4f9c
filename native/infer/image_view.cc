#include "infer/image_view.h"

#include <algorithm>
#include <iterator>
#include <string>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/upload.h"
#include "infer/batch_limits.h"
#include "infer/bit_mask.h"
#include "infer/overlap.h"
#include "infer/postprocess.h"
#include "infer/prompt_box.h"

namespace cellsam::infer {
namespace {

bool contains(const Window& window, double x, double y) {
  return x >= static_cast<double>(window.x) && x < static_cast<double>(window.right()) && y >= static_cast<double>(window.y) &&
         y < static_cast<double>(window.bottom());
}

TileGrid checked_grid(const at::Tensor& image, const PredictOptions& options) {
  check_image(image);
  return grid_of(image, options);
}

// The mask as predict() paints it where there is no other cell, of any size.
Mask painted_alone(const Mask& mask, const TileGrid& grid, PredictOptions options) {
  if (mask.empty()) return {};
  options.min_area = 0;
  // A pixel of background around it, as boundaries are found by it.
  const auto& box = mask.window;
  const auto around = intersect({box.x - 1, box.y - 1, box.width + 2, box.height + 2}, {0, 0, grid.width, grid.height});
  const Instance alone{.mask = moved(mask, -around.x, -around.y)};
  const auto bits = resolve_overlaps({alone}, around.height, around.width, options).labels.gt(0).to(at::kByte).contiguous();
  const auto* first = bits.const_data_ptr<std::uint8_t>();
  return to_mask({around, {first, first + around.area()}});
}

}  // namespace

ImageView::ImageView(model::CellSam model, at::Tensor image, const PredictOptions& options, TrainedPrompts trained,
                     std::size_t most_tiles)
    : model_(std::move(model)),
      image_(std::move(image)),
      options_(options),
      trained_(trained),
      most_tiles_(most_tiles),
      grid_(checked_grid(image_, options)) {}

void ImageView::prepare() {
  if (grid_.tiles.size() == 1) embedded(0);
}

std::vector<PromptedCell> ImageView::segment(const std::vector<ImagePrompt>& prompts, const Cancelled& cancelled,
                                             const Each& each) {
  c10::NoGradGuard no_grad;
  const auto tiles = tiles_of(prompts);
  std::map<std::size_t, std::vector<std::size_t>> by_tile;  // numbers of prompts
  for (std::size_t i = 0; i < prompts.size(); ++i) by_tile[tiles[i]].push_back(i);
  std::vector<Prompt> local(prompts.size());  // in pixels of the tile
  std::vector<PromptedCell> cells(prompts.size());
  for (const auto& entry : by_tile) {
    const auto tile = entry.first;
    const auto& numbers = entry.second;
    stop_if(cancelled);
    for (const auto number : numbers) {
      local[number] = checked(prompts[number], tile);
      if (trained_ == TrainedPrompts::Boxes) local[number] = as_box(local[number], tile);
    }
    const auto predictor = embedded(tile);
    for_each(each, std::ssize(numbers), [&](std::int64_t i) {
      stop_if(cancelled);
      const auto number = numbers[static_cast<std::size_t>(i)];
      cells[number] = cell_of(predictor->segment(0, local[number]), tile);
    });
  }
  return cells;
}

std::vector<std::size_t> ImageView::tiles_of(const std::vector<ImagePrompt>& prompts) const {
  const auto count = static_cast<std::int64_t>(prompts.size());
  auto extents = at::empty({count, 4}, at::kDouble);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto extent = extent_of(prompts[static_cast<std::size_t>(i)].prompt);
    std::copy(extent.begin(), extent.end(), extents.data_ptr<double>() + 4 * i);
  }
  std::vector<std::size_t> tiles(prompts.size());
  const auto by_tile = boxes_by_tile(grid_, extents);
  for (std::size_t tile = 0; tile < by_tile.size(); ++tile) {
    for (const auto prompt : by_tile[tile]) tiles[static_cast<std::size_t>(prompt)] = tile;
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) tiles[i] = prompts[i].tile.value_or(tiles[i]);
  return tiles;
}

Prompt ImageView::checked(const ImagePrompt& prompt, std::size_t tile) const {
  const auto& window = grid_.tiles[tile];
  const bool inside = std::all_of(prompt.prompt.points.begin(), prompt.prompt.points.end(),
                                  [&](const Point& point) { return !point.on_cell || contains(window, point.x, point.y); });
  if (!inside) {
    throw Error("ERR_TOO_FAR_APART", "segment: the points on the cell do not lie in one tile of " +
                                         std::to_string(window.width) + " x " + std::to_string(window.height) +
                                         " pixels; give points of one cell, and without the mask of an earlier " +
                                         "answer if that was for another place");
  }
  if (const auto& mask = prompt.prompt.mask; mask.defined()) {
    const auto side = 4 * model_->size().grid();
    if (mask.dim() != 2 || mask.size(0) != side || mask.size(1) != side) {
      throw Error("ERR_INVALID_ARGUMENT", "segment: a mask as prompt has " + std::to_string(side) + " x " +
                                              std::to_string(side) + " logits; give the lowResolution of an earlier answer");
    }
  }
  auto local = in_tile(prompt.prompt, window);
  // What lies beside the tile is beside every cell in it.
  const Window whole{0, 0, window.width, window.height};
  std::erase_if(local.points, [&](const Point& point) { return !contains(whole, point.x, point.y); });
  return local;
}

Prompt ImageView::as_box(const Prompt& prompt, std::size_t tile) {
  if (prompt.points.empty() && prompt.box) return {.box = prompt.box};
  detect_in(tile, {}, {});
  const auto detected = [&] {
    std::lock_guard lock(mutex_);
    return detected_.at(tile);
  }();
  const auto& window = grid_.tiles[tile];
  return {.box = box_of(prompt, detected, window.height, window.width)};
}

ImageView::Embedded ImageView::embedded(std::size_t tile) {
  const auto keep_first = [this](const auto& found) { std::rotate(embedded_.begin(), found, std::next(found)); };
  const auto find = [&] {
    return std::find_if(embedded_.begin(), embedded_.end(), [&](const auto& entry) { return entry.first == tile; });
  };
  {
    std::lock_guard lock(mutex_);
    if (const auto found = find(); found != embedded_.end()) {
      keep_first(found);
      return embedded_.front().second;
    }
  }
  // Without the lock, as other tiles need not wait. Two threads may embed the same one, with the same result.
  const auto pixels = upload(cut_tiles(image_, grid_, tile), device_of(model_));
  auto made = std::make_shared<const MaskPredictor>(model_, pixels, options_);
  std::lock_guard lock(mutex_);
  if (const auto found = find(); found != embedded_.end()) embedded_.erase(found);
  embedded_.emplace_front(tile, made);
  if (embedded_.size() > most_tiles_) embedded_.pop_back();
  return made;
}

PromptedCell ImageView::cell_of(PromptedMask masked, std::size_t tile) const {
  const auto& window = grid_.tiles[tile];
  const auto on_image = clip(moved(std::move(masked.mask), window.x, window.y), {0, 0, grid_.width, grid_.height});
  return {painted_alone(on_image, grid_, options_), masked.iou, masked.logits, tile};
}

void ImageView::detect_in(at::ArrayRef<std::size_t> tiles, const Cancelled& cancelled, const Each& each_tile) {
  std::vector<std::size_t> unknown;
  {
    std::lock_guard lock(mutex_);
    std::copy_if(tiles.begin(), tiles.end(), std::back_inserter(unknown),
                 [&](std::size_t tile) { return !detected_.contains(tile); });
  }
  for_batches(model_, unknown, options_, cancelled, each_tile, [&](at::ArrayRef<std::size_t> batch) {
    const auto limits = trained_ == TrainedPrompts::Boxes ? prompt_box_limits() : CandidateLimits{};
    auto found = infer::detect(model_, upload(cut_tiles(image_, grid_, batch), device_of(model_)), options_, limits);
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < batch.size(); ++i) detected_[batch[i]] = std::move(found[i]);
  });
}

Detections ImageView::detect(const Cancelled& cancelled, const Each& each_tile) {
  c10::NoGradGuard no_grad;
  const auto tiles = lit_tiles(image_, grid_);
  detect_in(tiles, cancelled, each_tile);
  std::vector<at::Tensor> boxes{at::empty({0, 4}, at::kDouble)}, scores{at::empty({0}, at::kDouble)};
  {
    std::lock_guard lock(mutex_);
    const auto cores = cores_of(grid_);
    for (const auto tile : tiles) {
      const auto& window = grid_.tiles[tile];
      const auto& found = detected_.at(tile);
      const auto on_image = found.boxes + at::tensor({window.x, window.y, window.x, window.y}, at::kDouble);
      const auto passed = found.scores.to(at::kDouble).gt(found.threshold).sum().item<std::int64_t>();  // the first ones
      std::vector<std::int64_t> shown_best;  // rows: of a cell that several tiles show, one shows it best
      const auto centres = (on_image.narrow(1, 0, 2) + on_image.narrow(1, 2, 2)) / 2;
      for (std::int64_t row = 0; row < passed; ++row) {
        const auto* centre = centres.const_data_ptr<double>() + 2 * row;
        if (grid_.tiles.size() == 1 || contains(cores[tile], centre[0], centre[1])) shown_best.push_back(row);
      }
      const auto rows = at::tensor(shown_best, at::kLong);
      boxes.push_back(on_image.index_select(0, rows));
      scores.push_back(found.scores.to(at::kDouble).index_select(0, rows));
    }
  }
  const auto [sorted, order] = at::cat(scores).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto found = at::cat(boxes).index_select(0, order);
  // Two tiles may each see the centre of the same cell in their own core.
  const auto kept = grid_.tiles.size() == 1 ? at::arange(found.size(0), at::kLong) : suppress_boxes(found, 0.5);
  return {found.index_select(0, kept), sorted.index_select(0, kept)};
}

}  // namespace cellsam::infer
