// CellSAM (Israel et al., 2023): SAM, the box detector CellFinder and, in newer checkpoints, a second SAM that inference uses
// instead of the first.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "model/cellfinder.h"
#include "model/model_size.h"
#include "model/sam.h"
#include "model/state_dict.h"

namespace cellsam::model {

class CellSamImpl : public torch::nn::Module {
 public:
  // Weights are drawn from torch's default CPU generator: call at::manual_seed(seed) before, and the same seed gives the same
  // weights. with_model_cp: also builds model_cp, as a copy of model.
  CellSamImpl(const ModelSize& size, bool with_model_cp);

  // The SAM that turns boxes into masks: model_cp where there is one, else model. Inference uses it and stage 2 trains it.
  Sam& mask_model() { return model_cp ? model_cp : model; }

  // Gives the network a model_cp equal to model (device, dtype and requires_grad included), for a checkpoint that has one.
  // Does nothing where there is one already.
  void add_model_cp();
  // Removes model_cp, for a checkpoint without one.
  void remove_model_cp();

  NamedTensors state_dict() const;
  NamedTensors unique_parameters() const;
  const ModelSize& size() const { return size_; }

  Sam model{nullptr};
  CellFinder cellfinder{nullptr};
  Sam model_cp{nullptr};

 private:
  ModelSize size_;
};
TORCH_MODULE(CellSam);

// A network with weights drawn from `seed`. From any thread: torch has one generator for all of them.
CellSam draw_weights(const ModelSize& size, bool with_model_cp, std::uint64_t seed);

// Puts a parameter on the memory of another of the same shape: what changes one in place changes both. Gradients stay apart.
void share_memory(at::Tensor parameter, const at::Tensor& with);

// A network on the memory of the weights of `model`, with gradients and flags of its own: what changes them in place changes
// both.
CellSam alias_weights(const CellSam& model);

}  // namespace cellsam::model
