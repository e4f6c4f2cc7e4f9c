// Runs the epochs of a training stage over a store of tiles: batches, optimiser steps,
// gradient accumulation and clipping, learning rate schedule, progress, and the state
// that a resumed run needs. What one batch computes is up to the stage (stage.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/options.h"
#include "data/store.h"
#include "dist/gradient_sum.h"
#include "dist/process_group.h"
#include "engine.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/epoch_losses.h"
#include "train/non_finite.h"
#include "train/non_finite_flag.h"
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
  // group: the processes that train this model together, or null. Process r of N computes the batches i of an update with
  // i mod N = r, and of a validation likewise; gradients are summed, so that the result is that of one process, to rounding,
  // and all state is the same in all processes. All functions but save_state and describe are then collective. Throws
  // ERR_CONFIG where an update has fewer batches than there are processes.
  Trainer(std::unique_ptr<Stage> stage, const TrainerOptions& options, std::uint64_t seed,
          std::shared_ptr<dist::ProcessGroup> group = nullptr);

  // Trains one epoch and emits a "step" event after each step. Returns {stopped, step, steps, images, seconds, threads, lr,
  // losses, features, graphs}: losses are means by name; features {kept, computed} counts outputs of frozen backbones that were
  // on disk and that were not; graphs {recorded, replayed} counts CUDA graphs.
  //
  // When `control` is cancelled, in one of the processes, it finishes the update and returns stopped = true. A later request
  // with start_step = step goes on as if nothing had happened. When `control` is abandoned it throws ERR_DISPOSED; do not save
  // a state after that.
  //
  // Throws ERR_NON_FINITE_LOSS when the losses or the gradient norm of a step are not finite. The error names the step's images
  // and, after the step was repeated under a NonFiniteTrace, the layer and operation where it began. The parameters are those
  // before the step, also on a GPU, which tells of it a step late. What is thrown in one of several processes is thrown in all;
  // ERR_PEER_LOST when one of them is gone.
  Dict train_epoch(const EpochRequest& request, Control& control);

  // Computes the mean losses of batches without gradients, augmentation or hard-example weights. Returns {losses, images,
  // seconds, features}. Throws as train_epoch does, and ERR_CANCELLED.
  Dict validate(const EpochRequest& request, Control& control);

  void set_loss_weights(Options& options) { stage_->set_loss_weights(options); }

  // Takes an epoch's loss into account for the plateau schedule. Returns the learning rate that follows.
  double observe(double loss);

  // Writes everything that load_state() needs to go on bit for bit: trainable parameters,
  // optimiser, schedule, counters, and the losses of an unfinished epoch. Returns {path,
  // bytes, sha256}. Frozen parameters are not in it; the caller restores them.
  Dict save_state(const std::string& path) const;

  // Returns {stage, epoch, step}. Throws ERR_STATE_MISMATCH, changing
  // nothing, for the state of another stage or of other parameters.
  Dict load_state(const std::string& path);

  // {trainable: names, parameters: how many numbers learn, groups: [{name, lr, parameters}]}. Of matrices that learn by LoRA
  // the numbers of their factors.
  Dict describe() const;

 private:
  // What the errors of a step need to know: of an epoch or of a validation.
  struct StepContext {
    const EpochRequest& request;
    bool training;
    const Control& control;
  };
  void require_finite(const StepContext& context, const LossQueue::StepLosses& losses);
  // Of the process that computed the step; the others throw what it says.
  [[noreturn]] void fail_everywhere(const StepContext& context, const LossQueue::Step& step, const std::string& what);
  [[noreturn]] void fail_non_finite(const StepContext& context, const LossQueue::Step& step, const std::string& what);
  std::optional<NonFiniteOrigin> find_origin(const StepContext& context, const LossQueue::Step& step);
  // Calls `compute`, which calls the stage. The matching of stage 1 refuses costs that
  // are not finite before there is a loss. Then `check_earlier` looks at losses that are
  // still in the queue, since an earlier step may be the cause, before this one fails.
  template <class Compute, class CheckEarlier>
  std::optional<at::Tensor> with_matching_errors(const StepContext& context, const LossQueue::Step& step, Compute compute,
                                                 CheckEarlier check_earlier);

  // The batches from number `first` on that this process computes, by number.
  std::vector<std::int64_t> own_numbers(const StepContext& context, std::int64_t first, std::int64_t count) const;
  // Those of `batches`, all of the epoch.
  std::vector<std::vector<std::int64_t>> own_batches(const StepContext& context,
                                                     const std::vector<std::vector<std::int64_t>>& batches,
                                                     std::int64_t first) const;
  std::int64_t owner_of(const StepContext& context, std::int64_t number) const;  // rank
  // Runs `body`, which computes batches of this process. Returns whether one of the processes is to stop.
  bool compute(const Control& control, const std::function<void()>& body);
  // The losses [k] of all batches from number `first` on; those of this process are given, undefined where there are none. With
  // a group also sums the gradients, if `gradients`.
  std::vector<at::Tensor> gather(std::vector<at::Tensor> losses, bool gradients);

  bool on_gpu() const;
  double learning_rate(std::int64_t updates) const;  // of the update after so many
  data::Augmenter augmenter(const EpochRequest& request) const;
  void emit_notices(Control& control);
  Dict feature_counts();
  Dict graph_counts();

  std::unique_ptr<Stage> stage_;
  std::shared_ptr<dist::ProcessGroup> group_;
  std::optional<dist::GradientSum> gradient_sum_;  // with a group
  TrainerOptions options_;
  std::uint64_t seed_;
  optim::Optimizer optimizer_;
  optim::Schedule schedule_;
  std::int64_t updates_ = 0;  // optimiser steps of this stage
  std::int64_t epoch_ = 0, step_ = 0;
  LossSums sums_;  // of the running epoch, so that a resumed epoch reports the same means
};

}  // namespace cellsam::train
