// The Segment Anything Model (Kirillov et al., ICCV 2023): image encoder, prompt encoder and mask decoder.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "model/image_encoder.h"
#include "model/mask_decoder.h"
#include "model/model_size.h"
#include "model/prompt_encoder.h"

namespace cellsam::model {

class SamImpl : public torch::nn::Module {
 public:
  explicit SamImpl(const ModelSize& size);

  ImageEncoder image_encoder{nullptr};
  PromptEncoder prompt_encoder{nullptr};
  MaskDecoder mask_decoder{nullptr};
};
TORCH_MODULE(Sam);

}  // namespace cellsam::model
