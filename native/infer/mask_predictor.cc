#include "infer/mask_predictor.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "infer/full_masks.h"

namespace cellsam::infer {

MaskPredictor::MaskPredictor(model::CellSam& model, const at::Tensor& image, const PredictOptions& options)
    : model_(model), options_(options) {
  c10::NoGradGuard no_grad;
  check_image(image);
  height_ = image.size(1);
  width_ = image.size(2);
  const auto size = model->size().image_size;
  const auto tile = image.unsqueeze(0).to(device_of(model));
  auto& mask_model = model_->mask_model();
  scale_ = model_scale(image, size);
  embedding_ = mask_model->image_encoder->forward(data::encoder_input(tile, size, options.preprocessing));
  image_pe_ = mask_model->prompt_encoder->dense_pe();
  if (options.factored_decoder && mask_model->mask_decoder->can_factor()) {
    factored_ = mask_model->mask_decoder->factor(embedding_, image_pe_, mask_model->prompt_encoder->no_mask_embedding());
  }
}

std::vector<Instance> MaskPredictor::predict(const at::Tensor& boxes, double iou_threshold, const Cancelled& cancelled) const {
  c10::NoGradGuard no_grad;
  const auto device = embedding_.device();
  const auto size = model_->size().image_size;
  const auto pixel_boxes = boxes.to(at::kCPU, at::kDouble).contiguous();
  const auto model_boxes = (pixel_boxes * scale_).to(device, at::kFloat);
  model::CellSam model = model_;  // a shared pointer to networks, whose methods are not const
  auto& mask_model = model->mask_model();

  std::vector<Instance> instances;
  for (std::int64_t begin = 0; begin < boxes.size(0); begin += options_.prompt_chunk) {
    stop_if(cancelled);
    const auto chunk = model_boxes.slice(0, begin, begin + options_.prompt_chunk);
    const auto prompts = mask_model->prompt_encoder->forward(std::nullopt, std::nullopt, chunk, std::nullopt);
    auto& decoder = mask_model->mask_decoder;
    const auto predicted =
        factored_ ? decoder->forward_factored(*factored_, {0}, {chunk.size(0)}, prompts.sparse, /*multimask=*/false)
                  : decoder->forward(embedding_, image_pe_, prompts.sparse, prompts.dense, /*multimask=*/false);
    require_finite(predicted.iou, "predicted IoU");
    require_finite(predicted.logits, "mask logits");
    const auto ious = predicted.iou.select(1, 0).to(at::kCPU, at::kDouble);
    const auto good = ious.ge(iou_threshold).nonzero().squeeze(1);
    const auto logits = predicted.logits.select(1, 0).index_select(0, good.to(device));
    auto masks = full_masks(logits, {size, height_, width_}, options_.mask_threshold);
    for (std::size_t i = 0; i < masks.size(); ++i) {
      if (masks[i].empty()) continue;
      const auto row = good[static_cast<std::int64_t>(i)].item<std::int64_t>();
      const auto* box = pixel_boxes.const_data_ptr<double>() + 4 * (begin + row);
      instances.push_back({std::move(masks[i]), 0, ious[row].item<double>(), {box[0], box[1], box[2], box[3]}, begin + row});
    }
  }
  return instances;
}

}  // namespace cellsam::infer
