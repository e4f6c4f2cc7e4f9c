// Runs the epochs of a training stage over a store of tiles: batches, optimiser steps,
// gradient accumulation and clipping, learning rate schedule, progress, and the state
// that a resumed run needs. What one batch computes is up to the stage (stage.h).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/kept_tensor.h"
#include "base/options.h"
#include "data/store.h"
#include "engine.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/epoch_losses.h"
#include "train/non_finite.h"
#include "train/stage.h"

namespace cellsam::train {

struct TrainerOptions {
  optim::Method optimizer;
  double learning_rate;
  double grad_clip;         // 0: off
  std::int64_t accumulate;  // batches per optimiser step
  optim::ScheduleOptions schedule;
};

// Reads the options that both stages share, with the defaults of stage 1 or 2.
TrainerOptions read_trainer_options(Options& options, std::int64_t stage);

// One pass over part of a store.
struct EpochRequest {
  std::shared_ptr<const data::Store> store;
  std::vector<std::int64_t> indices;  // tiles; training shuffles them by (seed, fold, epoch)
  std::int64_t fold = 0;
  std::int64_t epoch = 0;       // of training; not used for validation
  std::int64_t start_step = 0;  // batches of this epoch that an interrupted run has done already
  std::int64_t batch_size = 1;
  bool augment = false;
  bool complex_augmentation = false;  // only with `augment`
  std::int64_t variants = 0;          // of each tile under complex augmentation; 0: new ones in every epoch
};

class Trainer {
 public:
  Trainer(std::unique_ptr<Stage> stage, const TrainerOptions& options, std::uint64_t seed);

  // Trains one epoch and emits a "step" event after each step. Returns {stopped, step, steps, images, seconds, threads, lr,
  // losses, features, graphs}: losses are means by name; features {kept, computed} counts outputs of frozen backbones that were
  // on disk and that were not; graphs {recorded, replayed} counts CUDA graphs.
  //
  // When `control` is cancelled it finishes the step and returns stopped = true. A later request with start_step = step goes on
  // as if nothing had happened. When `control` is abandoned it throws ERR_DISPOSED; do not save a state after that.
  //
  // Throws ERR_NON_FINITE_LOSS when the losses or the gradient norm of a step are not finite. The error names the step's images
  // and, after the step was repeated under a NonFiniteTrace, the layer and operation where it began. The parameters are those
  // before the step.
  Dict train_epoch(const EpochRequest& request, Control& control);

  // Computes the mean losses of batches without gradients, augmentation or hard-example weights. Returns {losses, images,
  // seconds, features}. Throws as train_epoch does, and ERR_CANCELLED.
  Dict validate(const EpochRequest& request, Control& control);

  void set_loss_weights(Options& options) { stage_->set_loss_weights(options); }

  // Takes an epoch's loss into account for the plateau schedule. Returns the learning rate that follows.
  double observe(double loss);
  double learning_rate() const;

  // Writes everything that load_state() needs to go on bit for bit: trainable parameters,
  // optimiser, schedule, counters, and the losses of an unfinished epoch. Returns {path,
  // bytes, sha256}. Frozen parameters are not in it; the caller restores them.
  Dict save_state(const std::string& path) const;

  // Returns {stage, epoch, step}. Throws ERR_STATE_MISMATCH, changing
  // nothing, for the state of another stage or of other parameters.
  Dict load_state(const std::string& path);

  // {trainable: names, parameters: how many numbers they have, groups: [{name, lr, parameters}]}.
  Dict describe() const;

 private:
  // What the errors of a step need to know: of an epoch or of a validation.
  struct StepContext {
    const EpochRequest& request;
    bool training;
    const Control& control;
  };
  void require_finite(const StepContext& context, const LossQueue::StepLosses& losses);
  [[noreturn]] void fail_non_finite(const StepContext& context, const LossQueue::Step& step, const std::string& what);
  std::optional<NonFiniteOrigin> find_origin(const StepContext& context, const LossQueue::Step& step);
  // Calls `compute`, which calls the stage. The matching of stage 1 refuses costs that
  // are not finite before there is a loss. Then `check_earlier` looks at losses that are
  // still in the queue, since an earlier step may be the cause, before this one fails.
  template <class Compute, class CheckEarlier>
  std::optional<at::Tensor> with_matching_errors(const StepContext& context, const LossQueue::Step& step, Compute compute,
                                                 CheckEarlier check_earlier);

  bool on_gpu() const;
  data::Augmenter augmenter(const EpochRequest& request) const;
  void emit_notices(Control& control);
  Dict feature_counts();
  Dict graph_counts();

  std::unique_ptr<Stage> stage_;
  TrainerOptions options_;
  std::uint64_t seed_;
  optim::Optimizer optimizer_;
  optim::Schedule schedule_;
  KeptTensor one_;
  std::int64_t updates_ = 0;  // optimiser steps of this stage
  std::int64_t epoch_ = 0, step_ = 0;
  LossSums sums_;  // of the running epoch, so that a resumed epoch reports the same means
};

}  // namespace cellsam::train
