// Runs the epochs of one training stage over a store of tiles: batches, steps, accumulation, clipping, schedule, progress,
// and the state that a resumed run needs. What a step computes is the stage's business (stage.h).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/options.h"
#include "data/store.h"
#include "engine.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/loss_record.h"
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
  std::int64_t epoch = 0;       // of training; validation has none
  std::int64_t start_step = 0;  // batches of this epoch that an interrupted run has already done
  std::int64_t batch_size = 1;
  bool augment = false;
  bool complex_augmentation = false;  // with `augment` only
  std::int64_t variants = 0;          // of each tile under complex augmentation; 0: new ones in every epoch
};

class Trainer {
 public:
  Trainer(std::unique_ptr<Stage> stage, const TrainerOptions& options, std::uint64_t seed);

  // Trains; answers {stopped, step, steps, images, seconds, lr, losses, features, graphs}. features is {kept, computed}: how
  // many outputs of frozen backbones were there already and how many had to be computed; graphs {recorded, replayed}, of the
  // work that a GPU repeats. When `control` is cancelled it finishes the step and answers with stopped = true; a later request
  // with start_step = step goes on as if nothing had happened. When `control` is abandoned it throws ERR_DISPOSED, and no state
  // should be saved after that. Throws ERR_NON_FINITE_LOSS when losses or gradient norm of a step are not finite, naming its
  // images and, after repeating it under a NonFiniteTrace, the layer and operation where that began. The parameters are those
  // before the step.
  Dict train_epoch(const EpochRequest& request, Control& control);

  // Mean losses over batches, without gradients, augmentation or hard-example weights, and features as above. Throws as
  // train_epoch does.
  Dict validate(const EpochRequest& request, Control& control);

  void set_loss_weights(Options& options) { stage_->set_loss_weights(options); }

  // Tells the plateau schedule the epoch's loss; answers the learning rate that follows.
  double observe(double loss);
  double learning_rate() const;

  // Everything that `load_state` needs to go on bit for bit: trainable parameters, optimiser, schedule, counters, and the
  // losses of a half-done epoch. Frozen parameters are the caller's to restore first.
  Dict save_state(const std::string& path) const;
  // Answers {stage, epoch, step}. ERR_STATE_MISMATCH when the state is another stage's or other parameters', changing nothing.
  Dict load_state(const std::string& path);

  Dict describe() const;  // {trainable, parameters, groups}

 private:
  // A step for error messages: the epoch's, or a batch of the validation.
  struct Place {
    const EpochRequest& request;
    bool training;
    const Control& control;
  };
  void require_finite(const Place& place, const LossQueue::Landed& landed);
  [[noreturn]] void fail_non_finite(const Place& place, const LossQueue::Step& step, const std::string& what);
  std::optional<NonFiniteOrigin> find_origin(const Place& place, const LossQueue::Step& step);
  bool on_gpu() const;
  data::Augmenter augmenter(const EpochRequest& request) const;
  void emit_notices(Control& control);
  Dict feature_counts();
  Dict graph_counts();
  // Runs `compute` (train_batch or evaluate_batch of the stage). The matching of stage 1 meets bad numbers before any loss
  // does; `earlier` first looks at the losses that are still on their way, as an earlier step may be the one to blame.
  template <class Compute, class Earlier>
  std::optional<at::Tensor> guarded(const Place& place, const LossQueue::Step& step, Compute compute, Earlier earlier);

  std::unique_ptr<Stage> stage_;
  TrainerOptions options_;
  std::uint64_t seed_;
  optim::Optimizer optimizer_;
  optim::Schedule schedule_;
  std::int64_t updates_ = 0;  // optimiser steps of this stage
  std::int64_t epoch_ = 0, step_ = 0;
  LossSums sums_;  // of the running epoch, so that a resumed epoch reports the same means
};

}  // namespace cellsam::train
