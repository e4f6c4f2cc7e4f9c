// What the parity programs of the networks share: the size that a case describes, its weights, and the check of gradients.
#pragma once

#include <torch/nn/module.h>

#include "model/cellsam.h"
#include "model/model_size.h"
#include "parity/case.h"

namespace cellsam::test {

inline model::ModelSize size_of(const Case& parity) {
  const Value& config = field(parity.info(), "config");
  model::ModelSize size;
  size.name = "parity";
  size.image_size = integer(config, "img_size");
  size.patch = integer(config, "patch");
  size.embed_dim = integer(config, "embed_dim");
  size.depth = integer(config, "depth");
  size.heads = integer(config, "heads");
  size.mlp_ratio = number(config, "mlp_ratio");
  size.window = integer(config, "window");
  size.global_blocks.clear();
  for (const auto& block : list(config, "global_idx"))
    size.global_blocks.push_back(static_cast<std::int64_t>(as<double>(block)));
  size.prompt_dim = integer(config, "prompt_dim");
  size.mask_in_chans = integer(config, "mask_in_chans");
  size.decoder_depth = integer(config, "dec_depth");
  size.decoder_heads = integer(config, "dec_heads");
  size.decoder_mlp = integer(config, "dec_mlp");
  size.num_multimask = integer(config, "num_multimask");
  size.iou_depth = integer(config, "iou_depth");
  size.iou_hidden = integer(config, "iou_hidden");
  size.detector_dim = integer(config, "d_model");
  size.detector_heads = integer(config, "det_heads");
  size.detector_ffn = integer(config, "det_ffn");
  size.encoder_layers = integer(config, "enc_layers");
  size.decoder_layers = integer(config, "dec_layers");
  size.num_queries = integer(config, "n_pos");
  size.num_patterns = integer(config, "n_pat");
  size.num_classes = integer(config, "num_classes");
  return size;
}

// Copies `weights` in; every name of the module must be there with its shape, and nothing else.
inline void load(const torch::nn::Module& module, const TensorMap& weights) {
  at::NoGradGuard no_grad;
  const auto state = model::state_dict(module);
  if (state.size() != weights.size()) throw std::runtime_error("the weights have another number of tensors than the module");
  for (auto [name, tensor] : state) {
    const auto& from = weights.at(name);
    if (from.sizes() != tensor.sizes()) throw std::runtime_error("the weights have another shape: " + name);
    tensor.copy_(from);
  }
}

inline void zero_gradients(const torch::nn::Module& module) {
  for (auto& [name, parameter] : model::unique_parameters(module)) parameter.mutable_grad() = at::Tensor();
}

// Zero where nothing depends on the parameter, as in the cases.
inline at::Tensor gradient_of(const at::Tensor& parameter) {
  return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
}

// Every tensor of the case that is named prefix + parameter, against that parameter's gradient.
inline void check_gradients(Case& parity, const torch::nn::Module& module, const std::string& prefix,
                            const Tolerance& tolerance) {
  for (const auto& [name, parameter] : model::unique_parameters(module)) {
    if (parity.has(prefix + name)) parity.check(prefix + name, gradient_of(parameter), tolerance);
  }
}

}  // namespace cellsam::test
