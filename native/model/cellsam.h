// CellSAM as a whole: SAM, CellFinder and, in newer checkpoints, a second SAM that inference uses instead of the first.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string>

#include "model/build.h"
#include "model/cellfinder.h"
#include "model/image_encoder.h"
#include "model/mask_decoder.h"
#include "model/named_tensors.h"
#include "model/prompt_encoder.h"

namespace cellsam::model {

// Every entry of a module's state dict in the official order and naming: parameters and persistent buffers, with the shared
// heads of CellFinder under each of their names. The tensors are the module's own: copy into them to load.
NamedTensors named_state(const torch::nn::Module& module, const std::string& prefix = "");

// The parameters under the first of their names; a shared one appears once, as an optimiser needs it.
NamedTensors unique_parameters(const torch::nn::Module& module, const std::string& prefix = "");

class SamImpl : public torch::nn::Module {
 public:
  explicit SamImpl(const ModelSize& size);

  ImageEncoder image_encoder{nullptr};
  PromptEncoder prompt_encoder{nullptr};
  MaskDecoder mask_decoder{nullptr};
};
TORCH_MODULE(Sam);

class CellSamImpl : public torch::nn::Module {
 public:
  // Weights are drawn from torch's default CPU generator: call at::manual_seed(seed) before, and the same seed gives the same
  // weights. adversarial_copy: also build model_cp, as a copy of model.
  CellSamImpl(const ModelSize& size, bool adversarial_copy);

  // The SAM that inference uses and stage 2 trains: model_cp where there is one, else model. Nobody else decides this.
  Sam& mask_model() { return model_cp ? model_cp : model; }

  // Gives the model a model_cp equal to model (device, dtype and requires_grad included), for a checkpoint that brings one.
  void adopt_copy();
  // Removes model_cp, for a checkpoint without one: `mask_model()` is `model` from then on.
  void drop_copy();

  NamedTensors named_state() const;
  NamedTensors unique_parameters() const;
  const ModelSize& size() const { return size_; }

  Sam model{nullptr};
  CellFinder cellfinder{nullptr};
  Sam model_cp{nullptr};

 private:
  ModelSize size_;
};
TORCH_MODULE(CellSam);

}  // namespace cellsam::model
