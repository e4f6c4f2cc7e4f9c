// What a trainer needs to know of a training stage: its parameters, and what one batch costs and teaches.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/options.h"
#include "cache/frozen_backbone.h"
#include "data/batch.h"
#include "data/preprocess.h"
#include "device/device.h"
#include "device/step_graph.h"
#include "engine.h"
#include "model/cellsam.h"
#include "optim/parameter_group.h"

namespace cellsam::train {

// Identifies the random draws of a batch: with the sample's index they are the same in any order, and after a resume.
struct DrawKey {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
};

class Stage {
 public:
  virtual ~Stage() = default;

  // Names of what `train_batch` and `evaluate_batch` return; the first is "total_loss", the others its weighted components.
  virtual const std::vector<std::string>& loss_names() const = 0;

  // Forward and backward of one batch. Adds scale * d(total)/d(parameter) to the gradients and returns the losses [k] on the
  // device, without a host sync. Empty when the batch holds nothing to learn from. When `control` is abandoned it throws
  // ERR_DISPOSED between two networks or prompt chunks, and leaves part of the gradients behind.
  virtual std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey& key,
                                                const Control& control) = 0;

  // The same losses without gradients and without hard-example weights, for validation.
  virtual std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) = 0;

  virtual int number() const = 0;  // 1 or 2

  // Threads that a batch is computed with.
  virtual std::int64_t threads() const;

  // Whether the losses of a batch are means over boxes or prompts that do not depend on the batch's other images, so that
  // images may be computed apart.
  virtual bool divides() const = 0;

  // How many boxes or prompts the losses of the batch are means over. With none, its losses are sums.
  virtual std::int64_t averaged_over(const data::Batch& batch, bool training) const = 0;

  // Reads loss weights by the names of the stage's options; those that are absent stay. Throws ERR_INVALID_ARGUMENT, and
  // changes nothing, for a weight that is negative, or that would need parameters which the stage does not train.
  virtual void set_loss_weights(Options& options) = 0;

  // What the last `train_batch` or `evaluate_batch` has to tell people, once.
  virtual std::vector<std::string> take_notices();

  // Of the frozen backbones, since the last call.
  virtual cache::FeatureCounts take_feature_counts();

  // Of the steps' work on a GPU, since the last call.
  virtual device::GraphCounts take_graph_counts() { return {}; }

  // Prepares for a batch that `train_batch` or `evaluate_batch` will get. On the thread that prepares batches.
  virtual void prefetch(const data::Batch& batch);

  // Names and tensors that this stage changes, without shared duplicates, in the order of the groups.
  const model::NamedTensors& trainable() const { return trainable_; }
  // Those that the stage itself brings and needs in training alone: among `trainable`, but not of the model.
  const model::NamedTensors& own() const { return own_; }
  // Puts them on the memory of those of `other`, a stage with the same options.
  void share_own(const Stage& other);
  // Those of the whole model, the frozen ones included.
  const model::NamedTensors& parameters() const { return parameters_; }
  const std::vector<optim::ParameterGroup>& groups() const { return groups_; }

 protected:
  Stage() = default;
  // For a stage of the same parameters.
  explicit Stage(const Stage& other)
      : trainable_(other.trainable_), own_(other.own_), parameters_(other.parameters_), groups_(other.groups_) {}

  struct Part {
    std::string name;
    model::NamedTensors parameters;
    double lr_ratio = 1;
    optim::LowRank low_rank = {};
  };

  // Makes `parts` the groups of the optimiser (empty ones are left out) and marks exactly their tensors as trainable.
  void choose(model::CellSam& model, std::vector<Part> parts, double weight_decay);

  // A backbone that this stage uses and does not train. The stage keeps it.
  cache::FrozenBackbone* add_frozen_backbone(model::CellSam& model, const cache::BackboneSetting& setting,
                                             const cache::FeatureOptions& options);

  // A module that the stage trains beside the model. To be named before choose().
  void bring(const std::string& name, const torch::nn::Module& module);

  void notice(std::string message) { notices_.push_back(std::move(message)); }

 private:
  model::NamedTensors trainable_, own_, parameters_;
  std::vector<std::unique_ptr<cache::FrozenBackbone>> frozen_;
  std::vector<std::string> notices_;
  std::vector<optim::ParameterGroup> groups_;
};

// What a stage works on. The model outlives the stage.
struct StageContext {
  model::CellSam& model;
  data::Preprocessing preprocessing;  // which preprocessing the weights expect
  at::Device device;
  device::Precision precision;

  cache::BackboneSetting setting_of(cache::Backbone backbone) const { return {backbone, preprocessing, device, precision}; }
};

// Stage 1: the detector. Reads stage1_type, head_scope, the loss and matching weights.
std::unique_ptr<Stage> open_detector_stage(const StageContext& context, Options& options);

// Stage 2: SAM's neck behind box prompts. Reads the mask loss, mining, freezing and prompt options.
std::unique_ptr<Stage> open_mask_stage(const StageContext& context, Options& options);

}  // namespace cellsam::train
