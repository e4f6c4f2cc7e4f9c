#include "train/prompt_losses.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "base/upload.h"
#include "data/instances.h"
#include "loss/upsampled_mask_loss.h"
#include "settings/stage2.h"

namespace cellsam::train {
namespace {

const double kFoundLogit = std::log(0.4 / 0.6);  // where inference cuts masks by default, at a sigmoid of 0.4

std::vector<std::string> loss_names() {
  std::vector<std::string> names{"total_loss"};
  for (const auto& loss : loss::mask_losses()) names.push_back(std::string(loss.name) + "_loss");
  names.emplace_back("iou_loss");
  return names;
}

loss::MaskLossOptions read_mask_losses(Options& options) {
  loss::MaskLossOptions read;
  read.read(options);
  return read;
}

}  // namespace

PromptBatch on_device(const data::Batch& batch, std::vector<ImagePrompts> prompts, at::Device device) {
  PromptBatch result{std::move(prompts), upload(batch.labels, device), {}};
  for (const auto& instances : batch.instances) result.ignores.push_back(instances.has_ignored);
  for (auto& image : result.prompts) {
    result.count += image.boxes.size(0);
    image.boxes = upload(image.boxes, device);
    image.ids = upload(image.ids, device);
  }
  return result;
}

PromptLosses::PromptLosses(const StageContext& context, Options& options)
    : context_(context),
      mask_losses_(read_mask_losses(options)),
      iou_weight_(options.read(setting::stage2::iou_loss_weight)),
      fused_(options.read(setting::stage2::fused_mask_loss)),
      factored_(options.read(setting::stage2::factored_decoder)),
      names_(loss_names()) {}

void PromptLosses::set_weights(Options& options) {
  auto changed = mask_losses_;
  changed.read_weights(options);
  const auto iou_weight = options.read(setting::stage2::iou_loss_weight, iou_weight_);
  if (iou_weight > 0 && iou_weight_ == 0) {
    throw Error("ERR_INVALID_ARGUMENT",
                "iou_loss_weight cannot rise from 0 in an open stage, which does not train the IoU head");
  }
  mask_losses_ = std::move(changed);
  iou_weight_ = iou_weight;
}

PromptDecoder PromptLosses::decoder(at::Tensor embeddings, bool cuts_gradient) const {
  device::Autocast autocast(context_.device, context_.precision);
  return {context_.model->mask_model(), std::move(embeddings), factored_, cuts_gradient};
}

at::Tensor PromptLosses::operator()(const PromptBatch& batch, const std::vector<ImagePrompts>& chunk,
                                    PromptDecoder& decoder) const {
  const auto tile = static_cast<double>(batch.labels.size(1));
  model::Masks masks;
  {
    device::Autocast autocast(context_.device, context_.precision);
    masks = decoder.decode(chunk, static_cast<double>(context_.model->size().image_size) / tile);
  }
  std::vector<at::Tensor> losses;
  std::int64_t done = 0;
  for (const auto& image : chunk) {
    const auto n = image.boxes.size(0);
    losses.push_back(of_image(batch, image, masks.logits.narrow(0, done, n), masks.iou.narrow(0, done, n).squeeze(1)));
    done += n;
  }
  return losses.size() == 1 ? losses[0] : at::cat(losses);
}

// [n,k] of one image's prompts, against its label map.
at::Tensor PromptLosses::of_image(const PromptBatch& batch, const ImagePrompts& prompts, const at::Tensor& logits,
                                  const at::Tensor& predicted_iou) const {
  loss::UpsampledMasks masks{logits.squeeze(1), batch.labels[prompts.image], prompts.ids, context_.model->size().image_size};
  if (batch.ignores[static_cast<std::size_t>(prompts.image)]) masks.ignored = data::kIgnore;
  if (iou_weight_ > 0) masks.iou_threshold = kFoundLogit;
  const auto [loss, iou] = loss::upsampled_mask_loss(masks, mask_losses_, fused_);
  const auto iou_loss = iou.defined() ? (predicted_iou - iou).square() * iou_weight_ : at::zeros_like(loss.total);
  return at::cat({(loss.total + iou_loss).unsqueeze(1), loss.terms, iou_loss.unsqueeze(1)}, 1);
}

}  // namespace cellsam::train
