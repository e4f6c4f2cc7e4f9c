#include "model/sam.h"

namespace cellsam::model {

SamImpl::SamImpl(const ModelSize& size) {
  image_encoder = register_module("image_encoder", ImageEncoder(size, /*with_neck=*/true));
  prompt_encoder = register_module("prompt_encoder", PromptEncoder(size));
  mask_decoder = register_module("mask_decoder", MaskDecoder(size));
}

}  // namespace cellsam::model
