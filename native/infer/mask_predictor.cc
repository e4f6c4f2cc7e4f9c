#include "infer/mask_predictor.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/fetch.h"
#include "base/upload.h"
#include "infer/batch_limits.h"
#include "infer/full_masks.h"

namespace cellsam::infer {
namespace {

constexpr std::size_t kMostWaiting = std::size_t{256} << 20;  // bytes of logits on their way to the host

}  // namespace

MaskPredictor::MaskPredictor(model::CellSam& model, const at::Tensor& tiles, const PredictOptions& options)
    : model_(model), options_(options), height_(tiles.size(2)), width_(tiles.size(3)) {
  c10::NoGradGuard no_grad;
  const auto size = model->size().image_size;
  auto& mask_model = model_->mask_model();
  scale_ = model_scale(tiles, size);
  embeddings_ = mask_model->image_encoder->forward(data::encoder_input(tiles, size, options.preprocessing));
  image_pe_ = mask_model->prompt_encoder->dense_pe();
  // The factored form multiplies less, but in operations for each image; in the form of the paper one serves all images, which
  // counts for more on a GPU.
  if (options.factored_decoder && tiles.is_cpu() && mask_model->mask_decoder->can_factor()) {
    factored_ = mask_model->mask_decoder->factor(embeddings_, image_pe_, mask_model->prompt_encoder->no_mask_embedding());
  }
}

void MaskPredictor::predict(const std::vector<at::Tensor>& boxes, double iou_threshold, const Cancelled& cancelled,
                            const Take& take) const {
  c10::NoGradGuard no_grad;
  const auto device = embeddings_.device();
  const TilePrompts prompts(boxes);
  const auto model_boxes = upload((prompts.boxes() * scale_).to(at::kFloat), device);
  const auto most = prompts_at_once(model_, options_);

  std::vector<Outputs> waiting;
  const auto take_all = [&] {
    wait_for(device);
    for (const auto& outputs : waiting) take_masks(outputs, prompts, iou_threshold, take);
    waiting.clear();
  };
  std::size_t bytes = 0;
  for (std::int64_t begin = 0; begin < prompts.count();) {
    stop_if(cancelled);
    begin += as_memory_allows(options_.limits->prompts, std::min(most, prompts.count() - begin), device, [&](std::int64_t n) {
      const auto encoded = model_->mask_model()->prompt_encoder->forward(std::nullopt, std::nullopt,
                                                                         model_boxes.narrow(0, begin, n), std::nullopt);
      const auto masks = decode(prompts.parts(begin, n), encoded, /*multimask=*/false, /*own_dense=*/false);
      waiting.push_back({begin, fetch(masks.logits.select(1, 0)), fetch(masks.iou.select(1, 0))});
    });
    bytes += waiting.back().logits.nbytes();
    if (!device.is_cpu() && bytes < kMostWaiting) continue;
    take_all();
    bytes = 0;
  }
  if (!waiting.empty()) take_all();
}

PromptedMask MaskPredictor::segment(std::size_t tile, const Prompt& prompt) const {
  c10::NoGradGuard no_grad;
  const auto masks = decode({{tile, 1}}, encode(prompt), prompt.multimask, /*own_dense=*/prompt.mask.defined());
  const auto ious = fetch(masks.iou[0]), logits = fetch(masks.logits[0]);  // [m], [m,4g,4g]
  wait_for(embeddings_.device());
  require_finite(ious, "predicted IoU");
  require_finite(logits, "mask logits");
  const auto best = ious.argmax().item<std::int64_t>();
  const auto chosen = logits.narrow(0, best, 1).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  auto mask = full_masks(chosen, {model_->size().image_size, height_, width_}, options_.mask_threshold)[0];
  return {std::move(mask), ious[best].item<double>(), chosen[0]};
}

model::PromptEmbeddings MaskPredictor::encode(const Prompt& prompt) const {
  const auto device = embeddings_.device();
  const auto on_device = [&](const at::Tensor& values) { return upload(values.to(at::kFloat).unsqueeze(0), device); };
  std::optional<at::Tensor> points, labels, boxes, masks;
  if (!prompt.points.empty()) {
    std::vector<double> places;
    std::vector<std::int64_t> kinds;
    for (const auto& point : prompt.points) {
      places.insert(places.end(), {point.x, point.y});
      kinds.push_back(point.on_cell ? 1 : 0);
    }
    // SAM's prompt encoder adds 0.5, as its points are numbers of pixels; these are places.
    points = on_device(at::tensor(places, at::kDouble).view({-1, 2}) * scale_.narrow(0, 0, 2) - 0.5);
    labels = upload(at::tensor(kinds, at::kLong).unsqueeze(0), device);
  }
  if (prompt.box) boxes = on_device(at::tensor(at::ArrayRef<double>(*prompt.box), at::kDouble) * scale_);
  if (prompt.mask.defined()) masks = on_device(prompt.mask.unsqueeze(0));
  return model_->mask_model()->prompt_encoder->forward(points, labels, boxes, masks);
}

model::Masks MaskPredictor::decode(const Parts& parts, const model::PromptEmbeddings& prompts, bool multimask,
                                   bool own_dense) const {
  auto& decoder = model_->mask_model()->mask_decoder;
  if (!factored_ || own_dense) {
    return decoder->forward(embeddings_of(parts), image_pe_, prompts.sparse, prompts.dense, multimask);
  }
  std::vector<std::int64_t> tiles, counts;
  for (const auto& part : parts) {
    tiles.push_back(static_cast<std::int64_t>(part.tile));
    counts.push_back(part.count);
  }
  return decoder->forward_factored(*factored_, tiles, counts, prompts.sparse, multimask);
}

at::Tensor MaskPredictor::embeddings_of(const Parts& parts) const {
  std::vector<at::Tensor> embeddings;
  for (const auto& part : parts) {
    const auto of_tile = embeddings_.narrow(0, static_cast<std::int64_t>(part.tile), 1);
    if (parts.size() == 1) return of_tile;
    embeddings.push_back(of_tile.expand({part.count, -1, -1, -1}));
  }
  return at::cat(embeddings);
}

void MaskPredictor::take_masks(const Outputs& outputs, const TilePrompts& prompts, double iou_threshold,
                               const Take& take) const {
  require_finite(outputs.ious, "predicted IoU");
  require_finite(outputs.logits, "mask logits");
  const auto ious = outputs.ious.to(at::kDouble);
  const auto good = ious.ge(iou_threshold).nonzero().squeeze(1);
  auto masks =
      full_masks(outputs.logits.index_select(0, good), {model_->size().image_size, height_, width_}, options_.mask_threshold);
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (masks[i].empty()) continue;
    const auto row = good[static_cast<std::int64_t>(i)].item<std::int64_t>(), prompt = outputs.begin + row;
    const auto* box = prompts.boxes().const_data_ptr<double>() + 4 * prompt;
    const auto place = prompts.place_of(prompt);
    take(place.tile, {std::move(masks[i]), 0, ious[row].item<double>(), {box[0], box[1], box[2], box[3]}, place.row});
  }
}

}  // namespace cellsam::infer
