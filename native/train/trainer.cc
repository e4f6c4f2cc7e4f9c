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

std::vector<at::Tensor> tensors_of(const model::NamedTensors& named) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
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

Trainer::Trainer(std::unique_ptr<Stage> stage, const TrainerOptions& options, std::uint64_t seed,
                 std::shared_ptr<dist::ProcessGroup> group)
    : stage_(std::move(stage)),
      group_(std::move(group)),
      options_(options),
      seed_(seed),
      optimizer_(stage_->groups(), {.method = options.optimizer, .seed = seed}),
      schedule_(options.schedule) {
  if (!group_) return;
  if (options_.accumulate < group_->size()) {
    throw Error("ERR_CONFIG", "accumulate of stage " + std::to_string(stage_->number()) + " is " +
                                  std::to_string(options_.accumulate) + ": " + std::to_string(group_->size()) +
                                  " processes need at least " + std::to_string(group_->size()) +
                                  " batches in an update, one for each");
  }
  gradient_sum_.emplace(*group_, tensors_of(stage_->trainable()));
}

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
  auto messages = stage_->take_notices();
  if (auto message = gradient_sum_ ? gradient_sum_->take_notice() : std::string(); !message.empty())
    messages.push_back(std::move(message));
  for (const auto& message : messages) {
    control.emit(Dict{{"type", "notice"}, {"level", "warning"}, {"message", message}});
  }
}

Dict Trainer::feature_counts() {
  auto counts = stage_->take_feature_counts();
  if (group_) {
    auto sums = at::tensor({counts.kept, counts.computed}, at::kLong);
    group_->sum({sums});
    counts = {sums[0].item<std::int64_t>(), sums[1].item<std::int64_t>()};
  }
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
  const auto order = data::epoch_order(request.indices, seed_, static_cast<std::uint64_t>(request.fold),
                                       static_cast<std::uint64_t>(request.epoch));
  const auto batches = data::in_batches(order, request.batch_size);
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
  LossQueue::Step last_with_losses;  // whose losses would show a bad gradient
  NonFiniteFlag flag;
  // Takes the losses of a batch, undefined if it has none, and the norm of the gradients if it is the last of an update.
  const auto record = [&](std::int64_t number, at::Tensor losses, const at::Tensor& norm) {
    const LossQueue::Step step{number, batches[static_cast<std::size_t>(number)], lr};
    sums_.images += std::ssize(step.indices);
    if (losses.defined()) last_with_losses = step;
    if (losses.defined() && norm.defined()) losses = at::cat({losses, norm.to(losses.options()).view({1})});
    // The norm goes to the host with the losses. When the last batch of a group has none, the device has to be waited for.
    if (!losses.defined() && norm.defined() && !std::isfinite(norm.item<double>())) {
      drain(true);  // reports the first loss that is not finite
      fail_everywhere(context, last_with_losses, "grad_norm");
    }
    if (!losses.defined()) return;
    // A loss or gradient that is not finite never reaches the parameters. On the CPU it is checked here. On a GPU that would
    // wait for the device: the error is thrown when the losses have arrived, and until then no update changes anything, so that
    // the weights are those of the step when its origin is looked for.
    if (losses.is_cpu()) {
      require_finite(context, {to_doubles(losses), step});
    } else {
      flag.add(losses);
    }
    queue.push(losses, step);
  };

  data::BatchLoader loader(
      request.store, own_batches(context, batches, step_), augmenter(request), 0, on_gpu(),
      [this](const auto& batch) { stage_->prefetch(batch); }, loader_threads(*stage_));
  const bool endless = request.complex_augmentation && request.variants == 0;
  stage_->take_feature_counts();  // those of an epoch that ended with an error
  stage_->take_graph_counts();
  optimizer_.zero_grad();                                          // gradients of a group that an error interrupted
  if (group_) group_->broadcast(tensors_of(stage_->trainable()));  // machines may round differently, which must not add up
  bool stop = group_ && group_->any(control.cancelled());
  for (std::int64_t end = step_; step_ < steps; step_ = end) {
    stop_if_abandoned(control);
    // It stops between groups only: gradients of an unfinished group are not part of the saved state.
    if (stop || (!group_ && control.cancelled())) {
      stop = true;
      break;
    }
    // The gradient of a group of accumulated batches is the mean over them, also in the last, shorter group of an epoch. A
    // short last batch counts as much as a full one, so that each of its images has a larger weight.
    const auto first = step_ - step_ % options_.accumulate;
    end = std::min(first + options_.accumulate, steps);
    const auto scale = 1.0 / static_cast<double>(end - first);
    lr = learning_rate(updates_);
    std::vector<at::Tensor> losses(static_cast<std::size_t>(end - step_));
    const auto losses_of = [&](std::int64_t number) -> at::Tensor& { return losses[static_cast<std::size_t>(number - step_)]; };
    stop = compute(control, [&] {
      for (const auto number : own_numbers(context, step_, end - step_)) {
        auto batch = loader.next().value();
        batch.cacheable = !endless;
        const LossQueue::Step step{number, batch.indices, lr};
        const DrawKey key{seed_, request.epoch};
        losses_of(number) =
            with_matching_errors(
                context, step, [&] { return stage_->train_batch(batch, scale, key, control); }, [&] { drain(true); })
                .value_or(at::Tensor());
        emit_notices(control);
        if (group_ || number + 1 == end) continue;  // their losses are not known yet, or the norm is not
        record(number, losses_of(number), {});
        drain(false);
      }
    });
    losses = gather(std::move(losses), /*gradients=*/true);
    for (auto number = group_ ? step_ : end - 1; number + 1 < end; ++number) record(number, losses_of(number), {});
    const bool updates = std::any_of(losses.begin(), losses.end(), [](const auto& of_batch) { return of_batch.defined(); });
    const auto norm = updates ? optim::clip_grad_norm(stage_->groups(), options_.grad_clip) : at::Tensor();
    record(end - 1, losses.back(), norm);
    if (updates) {
      optimizer_.step(lr, flag.value());
      optimizer_.zero_grad();
      ++updates_;
    }
    drain(false);
  }
  drain(true);
  return {{"stopped", stop && step_ < steps},
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
  const auto batches = data::in_batches(request.indices, request.batch_size);
  LossSums sums;
  LossQueue queue;
  const auto drain = [&](bool flush) {
    while (const auto arrived = queue.pop(flush)) {
      require_finite(context, *arrived);
      sums.add(arrived->values);
    }
  };
  data::BatchLoader loader(
      request.store, own_batches(context, batches, 0), {}, 0, on_gpu(), [this](const auto& batch) { stage_->prefetch(batch); },
      loader_threads(*stage_));
  stage_->take_feature_counts();
  const auto steps = std::ssize(batches);
  const auto round = group_ ? group_->size() : 1;  // batches that are computed at the same time
  for (std::int64_t begin = 0, end = 0; begin < steps; begin = end) {
    stop_if_abandoned(control);
    end = std::min(begin + round, steps);
    std::vector<at::Tensor> losses(static_cast<std::size_t>(end - begin));
    if (!group_ && control.cancelled()) throw Error("ERR_CANCELLED", "validation was cancelled");
    const bool stop = compute(control, [&] {
      for (const auto number : own_numbers(context, begin, end - begin)) {
        const auto batch = loader.next().value();
        losses[static_cast<std::size_t>(number - begin)] =
            with_matching_errors(
                context, {number, batch.indices}, [&] { return stage_->evaluate_batch(batch, control); }, [&] { drain(true); })
                .value_or(at::Tensor());
        emit_notices(control);
      }
    });
    if (group_ && stop) throw Error("ERR_CANCELLED", "validation was cancelled");
    losses = gather(std::move(losses), /*gradients=*/false);
    for (auto number = begin; number < end; ++number) {
      const LossQueue::Step step{number, batches[static_cast<std::size_t>(number)]};
      sums.images += std::ssize(step.indices);
      if (const auto& of_batch = losses[static_cast<std::size_t>(number - begin)]; of_batch.defined())
        queue.push(of_batch, step);
    }
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
  for (const auto& [name, tensor] : stage_->trainable()) trainable.push_back(name);
  for (const auto& group : stage_->groups()) {
    std::int64_t numbers = 0;
    for (const auto& tensor : group.parameters)
      numbers += group.low_rank.rank > 0 ? optim::low_rank_numbers(tensor, group.low_rank.rank) : tensor.numel();
    parameters += numbers;
    groups.push_back(Dict{{"name", group.name}, {"lr", options_.learning_rate * group.lr_ratio}, {"parameters", numbers}});
  }
  return {{"trainable", trainable}, {"parameters", parameters}, {"groups", groups}};
}

}  // namespace cellsam::train
