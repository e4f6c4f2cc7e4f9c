#include "model/image_encoder.h"

#include <ATen/ATen.h>

#include "model/layer_norm_2d.h"
#include "model/vit_block.h"

namespace cellsam::model {
namespace {

// A convolution that keeps the size of its map, without bias: a LayerNorm2d follows.
torch::nn::Conv2d same_conv(std::int64_t in, std::int64_t out, std::int64_t kernel) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel).padding(kernel / 2).bias(false));
}

}  // namespace

PatchEmbedImpl::PatchEmbedImpl(const ModelSize& size) {
  const auto options = torch::nn::Conv2dOptions(3, size.embed_dim, size.patch).stride(size.patch);
  proj_ = register_module("proj", torch::nn::Conv2d(options));
}

// In memory token by token, as every block reads its input: sums keep the order of their first operand.
at::Tensor PatchEmbedImpl::forward(const at::Tensor& x) { return proj_->forward(x).permute({0, 2, 3, 1}).contiguous(); }

ImageEncoderImpl::ImageEncoderImpl(const ModelSize& size, bool with_neck) : image_size_(size.image_size) {
  pos_embed_ = register_parameter("pos_embed", at::zeros({1, size.grid(), size.grid(), size.embed_dim}));
  patch_embed_ = register_module("patch_embed", PatchEmbed(size));
  register_module("blocks", blocks_);
  for (std::int64_t i = 0; i < size.depth; ++i) blocks_->push_back(VitBlock(size, i));
  if (!with_neck) return;
  neck_ = register_module("neck",
                          torch::nn::Sequential(same_conv(size.embed_dim, size.prompt_dim, 1), LayerNorm2d(size.prompt_dim),
                                                same_conv(size.prompt_dim, size.prompt_dim, 3), LayerNorm2d(size.prompt_dim)));
}

at::Tensor ImageEncoderImpl::forward(const at::Tensor& x) {
  const auto features = backbone(x);
  return neck_.is_empty() ? features : neck(features);
}

at::Tensor ImageEncoderImpl::backbone(const at::Tensor& x, Activations* activations) {
  if (x.dim() != 4 || x.size(1) != 3 || x.size(2) != image_size_ || x.size(3) != image_size_) {
    throw Error("ERR_INVALID_ARGUMENT", "the image encoder takes images of [B,3," + std::to_string(image_size_) + "," +
                                            std::to_string(image_size_) + "], but was given " + c10::str(x.sizes()));
  }
  auto tokens = patch_embed_->forward(x);  // [B,g,g,E]
  record(activations, "patch_embed", tokens);
  tokens = tokens + pos_embed_;
  for (const auto& block : *blocks_) tokens = block->as<VitBlock>()->forward(tokens, activations);
  return tokens;
}

at::Tensor ImageEncoderImpl::neck(const at::Tensor& features, Activations* activations) {
  auto map = features.permute({0, 3, 1, 2});  // [B,E,g,g]
  int index = 0;
  for (auto& layer : *neck_) {
    map = layer.forward<at::Tensor>(map);  // [B,C,g,g]
    record(activations, "neck" + std::to_string(index++), map);
  }
  return map;
}

void ImageEncoderImpl::set_checkpointing(bool on) {
  for (const auto& block : *blocks_) block->as<VitBlock>()->set_checkpointing(on);
}

}  // namespace cellsam::model
