#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "augment/augmentations.h"
#include "base/stop_if_abandoned.h"
#include "data/batch.h"
#include "data/sampler.h"
#include "optim/clip_grad_norm.h"
#include "settings/stage1.h"
#include "settings/stage2.h"
#include "settings/training.h"

namespace cellsam::train {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<double> to_doubles(const at::Tensor& values) {
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

std::int64_t batches_of(const EpochRequest& request) {
  const auto n = static_cast<std::int64_t>(request.indices.size());
  return (n + request.batch_size - 1) / request.batch_size;
}

std::int64_t loader_threads(const Stage& stage) { return std::min(stage.threads(), data::BatchLoader::kMostThreads); }

}  // namespace

TrainerOptions read_trainer_options(Options& options, std::int64_t stage) {
  const auto scheduler = options.read(stage == 1 ? setting::stage1::scheduler : setting::stage2::scheduler);
  TrainerOptions read{.optimizer = optim::parse_method(options.read(setting::training::optimizer)),
                      .learning_rate = options.read(setting::training::learning_rate),
                      .grad_clip = options.read(setting::training::grad_clip),
                      .accumulate = options.read(setting::training::accumulate),
                      .schedule = {.type = optim::parse_schedule_type(scheduler),
                                   .warmup_fraction = options.read(setting::training::warmup_fraction)}};
  const auto epochs = options.require_integer("epochs");
  const auto batches = options.require_integer("steps_per_epoch");
  const auto updates = (batches + read.accumulate - 1) / read.accumulate;
  read.schedule.total_steps = std::max<std::int64_t>(1, epochs * updates);
  return read;
}

Trainer::Trainer(std::unique_ptr<Stage> stage, const TrainerOptions& options, std::uint64_t seed)
    : stage_(std::move(stage)),
      options_(options),
      seed_(seed),
      optimizer_(stage_->groups(), {.method = options.optimizer}),
      schedule_(options.schedule) {}

bool Trainer::on_gpu() const { return stage_->parameters().front().second.is_cuda(); }

double Trainer::learning_rate(std::int64_t updates) const { return options_.learning_rate * schedule_.factor(updates); }

double Trainer::observe(double loss) {
  schedule_.observe(loss);
  return learning_rate(updates_);
}

data::Augmenter Trainer::augmenter(const EpochRequest& request) const {
  if (!request.augment) return {};
  const auto epoch = static_cast<std::uint64_t>(request.epoch);
  if (!request.complex_augmentation) return augment::augmenter(seed_, epoch, augment::Level::Simple);
  if (request.variants == 0) return augment::augmenter(seed_, epoch, augment::Level::Complex);
  return augment::pooled_augmenter(seed_, epoch, static_cast<std::uint64_t>(request.variants), augment::Level::Complex);
}

void Trainer::emit_notices(Control& control) {
  for (const auto& message : stage_->take_notices()) {
    control.emit(Dict{{"type", "notice"}, {"level", "warning"}, {"message", message}});
  }
}

Dict Trainer::feature_counts() {
  const auto counts = stage_->take_feature_counts();
  return {{"kept", counts.kept}, {"computed", counts.computed}};
}

Dict Trainer::graph_counts() {
  const auto counts = stage_->take_graph_counts();
  return {{"recorded", counts.recorded}, {"replayed", counts.replayed}};
}

template <class Compute, class CheckEarlier>
std::optional<at::Tensor> Trainer::with_matching_errors(const StepContext& context, const LossQueue::Step& step,
                                                        Compute compute, CheckEarlier check_earlier) {
  try {
    return compute();
  } catch (const Error& error) {
    if (error.code != "ERR_NON_FINITE_COST") throw;
    check_earlier();
    fail_non_finite(context, step, "the matching cost");
  }
}

Dict Trainer::train_epoch(const EpochRequest& request, Control& control) {
  const auto start = std::chrono::steady_clock::now();
  const auto& names = stage_->loss_names();
  const auto steps = batches_of(request);
  if (request.start_step == 0) sums_ = {};
  epoch_ = request.epoch;
  step_ = request.start_step;
  // The gradient of a group of accumulated batches is the mean over them, also in the last, shorter group of an epoch. A short
  // last batch counts as much as a full one, so that each of its images has a larger weight.
  const auto group_length = [&](std::int64_t step) {
    const auto first = step - step % options_.accumulate;
    return std::min(options_.accumulate, steps - first);
  };

  const auto order = data::epoch_order(request.indices, seed_, static_cast<std::uint64_t>(request.fold),
                                       static_cast<std::uint64_t>(request.epoch));
  const StepContext context{request, /*training=*/true, control};
  // A run that was stopped at the end of an epoch has no step left that would tell the rate of the last one.
  double lr = learning_rate(request.start_step == steps ? std::max<std::int64_t>(0, updates_ - 1) : updates_);
  LossQueue queue;
  const auto drain = [&](bool flush) {
    while (const auto arrived = queue.pop(flush)) {
      const auto& [values, step] = *arrived;
      require_finite(context, *arrived);
      Dict losses;
      for (std::size_t i = 0; i < names.size(); ++i) losses[names[i]] = values[i];
      sums_.add({values.begin(), values.begin() + std::ssize(names)});
      const auto done = std::min<std::int64_t>((step.number + 1) * request.batch_size, std::ssize(request.indices));
      const auto since_start = done - request.start_step * request.batch_size;
      control.emit(Dict{{"type", "step"},
                        {"stage", stage_->number()},
                        {"epoch", request.epoch},
                        {"step", step.number + 1},
                        {"steps", steps},
                        {"images", done},
                        {"images_per_second", static_cast<double>(since_start) / seconds_since(start)},
                        {"lr", step.lr},
                        {"grad_norm", values.size() > names.size() ? Value(values.back()) : Value()},
                        {"losses", losses}});
    }
  };

  data::BatchLoader loader(
      request.store, data::in_batches(order, request.batch_size), augmenter(request),
      static_cast<std::size_t>(request.start_step), on_gpu(), [this](const auto& batch) { stage_->prefetch(batch); },
      loader_threads(*stage_));
  const bool endless = request.complex_augmentation && request.variants == 0;
  stage_->take_feature_counts();  // those of an epoch that ended with an error
  stage_->take_graph_counts();
  optimizer_.zero_grad();  // gradients of a group that an error interrupted
  bool pending = false;    // whether there are gradients that no update has used yet
  bool stopped = false;
  LossQueue::Step last_with_losses;  // whose losses would show a bad gradient
  NonFiniteFlag flag;
  for (; step_ < steps; ++step_) {
    stop_if_abandoned(control);
    // It stops between groups only: gradients of an unfinished group are not part of the saved state.
    if (!pending && control.cancelled()) {
      stopped = true;
      break;
    }
    auto batch = loader.next().value();
    batch.cacheable = !endless;
    lr = learning_rate(updates_);
    const LossQueue::Step step{step_, batch.indices, lr};
    const auto scale = 1.0 / static_cast<double>(group_length(step_));
    const DrawKey key{seed_, request.epoch};
    auto losses = with_matching_errors(
        context, step, [&] { return stage_->train_batch(batch, scale, key, control); }, [&] { drain(true); });
    emit_notices(control);
    pending = pending || losses.has_value();
    if (losses) last_with_losses = step;
    sums_.images += std::ssize(batch.indices);
    const bool updates = pending && ((step_ + 1) % options_.accumulate == 0 || step_ + 1 == steps);
    at::Tensor norm;
    if (updates) norm = optim::clip_grad_norm(stage_->groups(), options_.grad_clip);
    if (losses && updates) losses = at::cat({*losses, norm.to(losses->options()).view({1})});
    // The norm goes to the host with the losses. When the last batch of a group has none, the device has to be waited for.
    if (!losses && updates && !std::isfinite(norm.item<double>())) {
      drain(true);  // reports the first loss that is not finite
      fail_non_finite(context, last_with_losses, "grad_norm");
    }
    // A loss or gradient that is not finite never reaches the parameters. On the CPU it is checked here. On a GPU that would
    // wait for the device: the error is thrown when the losses have arrived, and until then no update changes anything, so that
    // the weights are those of the step when its origin is looked for.
    if (losses && losses->is_cpu()) require_finite(context, {to_doubles(*losses), step});
    if (losses && !losses->is_cpu()) flag.add(*losses);
    if (updates) {
      optimizer_.step(lr, on_gpu() ? std::optional(flag.value()) : std::nullopt);
      optimizer_.zero_grad();
      ++updates_;
      pending = false;
    }
    if (losses) queue.push(*losses, step);
    drain(false);
  }
  drain(true);
  return {{"stopped", stopped},
          {"step", step_},
          {"steps", steps},
          {"images", sums_.images},
          {"seconds", seconds_since(start)},
          {"threads", stage_->threads()},
          {"lr", lr},
          {"losses", sums_.means(names)},
          {"features", feature_counts()},
          {"graphs", graph_counts()}};
}

Dict Trainer::validate(const EpochRequest& request, Control& control) {
  const auto start = std::chrono::steady_clock::now();
  const StepContext context{request, /*training=*/false, control};
  LossSums sums;
  LossQueue queue;
  const auto drain = [&](bool flush) {
    while (const auto arrived = queue.pop(flush)) {
      require_finite(context, *arrived);
      sums.add(arrived->values);
    }
  };
  data::BatchLoader loader(
      request.store, data::in_batches(request.indices, request.batch_size), {}, 0, on_gpu(),
      [this](const auto& batch) { stage_->prefetch(batch); }, loader_threads(*stage_));
  stage_->take_feature_counts();
  const auto steps = batches_of(request);
  for (std::int64_t number = 0; number < steps; ++number) {
    stop_if_abandoned(control);
    if (control.cancelled()) throw Error("ERR_CANCELLED", "validation was cancelled");
    const auto batch = loader.next().value();
    const LossQueue::Step step{number, batch.indices};
    const auto losses = with_matching_errors(
        context, step, [&] { return stage_->evaluate_batch(batch, control); }, [&] { drain(true); });
    emit_notices(control);
    if (losses) queue.push(*losses, step);
    sums.images += std::ssize(batch.indices);
    drain(false);
  }
  drain(true);
  return {{"losses", sums.means(stage_->loss_names())},
          {"images", sums.images},
          {"seconds", seconds_since(start)},
          {"features", feature_counts()}};
}

Dict Trainer::describe() const {
  List trainable, groups;
  std::int64_t parameters = 0;
  for (const auto& [name, tensor] : stage_->trainable()) {
    trainable.push_back(name);
    parameters += tensor.numel();
  }
  for (const auto& group : stage_->groups()) {
    std::int64_t numbers = 0;
    for (const auto& tensor : group.parameters) numbers += tensor.numel();
    groups.push_back(Dict{{"name", group.name}, {"lr", options_.learning_rate * group.lr_ratio}, {"parameters", numbers}});
  }
  return {{"trainable", trainable}, {"parameters", parameters}, {"groups", groups}};
}

}  // namespace cellsam::train
