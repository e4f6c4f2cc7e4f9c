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
  if (result.prompts.empty()) return result;
  std::vector<at::Tensor> boxes, ids;
  std::vector<std::int64_t> counts;
  for (const auto& image : result.prompts) {
    boxes.push_back(image.boxes);
    ids.push_back(image.ids);
    counts.push_back(image.ids.size(0));
    result.count += counts.back();
  }
  boxes = upload(at::cat(boxes), device).split_with_sizes(counts);
  ids = upload(at::cat(ids), device).split_with_sizes(counts);
  for (std::size_t i = 0; i < counts.size(); ++i) result.prompts[i].boxes = boxes[i], result.prompts[i].ids = ids[i];
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

// The factored form takes a fraction of the arithmetic in two and a half times as many operations. The CPU computes at once
// what it is told, so the arithmetic counts. A GPU is told of one operation after the other, for longer than it computes a step
// of many small ones: there the plain form is the faster one, unless a graph starts them all.
PromptDecoder PromptLosses::decoder(at::Tensor embeddings, bool in_graph) const {
  device::Autocast autocast(context_.device, context_.precision);
  return {context_.model->mask_model(), std::move(embeddings), factored_ && (context_.device.is_cpu() || in_graph),
          /*cuts_gradient=*/!in_graph};
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
  const auto total = iou.defined() ? loss.total + iou_loss : loss.total;
  return at::cat({total.unsqueeze(1), loss.terms, iou_loss.unsqueeze(1)}, 1);
}

}  // namespace cellsam::train
