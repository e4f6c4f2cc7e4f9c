// From the prompts of a batch to their losses: the mask decoder, the losses of the masks, and the regression of the predicted
// IoU.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/options.h"
#include "data/batch.h"
#include "loss/mask_loss_options.h"
#include "train/prompt_decoder.h"
#include "train/prompt_sampling.h"
#include "train/stage.h"

namespace cellsam::train {

// A batch on the device.
struct PromptBatch {
  std::vector<ImagePrompts> prompts;  // of the images that have any
  at::Tensor labels;                  // i32 [B,T,T]
  std::vector<bool> ignores;          // B: the image has pixels to leave out
  std::int64_t count = 0;             // prompts of all images
};

PromptBatch on_device(const data::Batch& batch, std::vector<ImagePrompts> prompts, at::Device device);

class PromptLosses {
 public:
  // Reads weights and settings of the losses, iou_loss_weight, fused_mask_loss and factored_decoder.
  PromptLosses(const StageContext& context, Options& options);

  // Of the k losses: "total_loss", NAME_loss of each loss in the table, "iou_loss".
  const std::vector<std::string>& names() const { return names_; }

  // Reads the weights alone; those that are absent stay. Throws ERR_INVALID_ARGUMENT for one out of range, and for an IoU loss
  // where there was none: its head does not train. Then all stay.
  void set_weights(Options& options);

  bool trains_iou_head() const { return iou_weight_ > 0; }

  // The decoder of the batch with these image embeddings [B,C,g,g]. in_graph: a CUDA graph starts its operations, so that their
  // number is of no account, and its gradient is not cut (prompt_decoder.h).
  PromptDecoder decoder(at::Tensor embeddings, bool in_graph = false) const;

  // Weighted losses [n,k] of the prompts of `chunk`, differentiable.
  at::Tensor operator()(const PromptBatch& batch, const std::vector<ImagePrompts>& chunk, PromptDecoder& decoder) const;

 private:
  at::Tensor of_image(const PromptBatch& batch, const ImagePrompts& prompts, const at::Tensor& logits,
                      const at::Tensor& predicted_iou) const;

  StageContext context_;
  loss::MaskLossOptions mask_losses_;
  double iou_weight_;
  bool fused_;     // off: with tensors of the tile's size, for comparison
  bool factored_;  // the mask decoder in its factored form, where that is faster
  std::vector<std::string> names_;
};

}  // namespace cellsam::train
