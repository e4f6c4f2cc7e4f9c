// What a trainer does when a loss, a gradient norm or a matching cost is not finite: it finds where that began and names it.
#include <algorithm>
#include <cmath>

#include "data/batch.h"
#include "train/trainer.h"

namespace cellsam::train {

void Trainer::require_finite(const StepContext& context, const LossQueue::StepLosses& losses) {
  const auto& values = losses.values;
  const auto bad = std::find_if_not(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  if (bad == values.end()) return;
  const auto& names = stage_->loss_names();
  const auto i = static_cast<std::size_t>(bad - values.begin());
  fail_everywhere(context, losses.step, i < names.size() ? names[i] : "grad_norm");
}

void Trainer::fail_everywhere(const StepContext& context, const LossQueue::Step& step, const std::string& what) {
  compute(context.control, [&] {
    if (!group_ || owner_of(context, step.number) == group_->rank()) fail_non_finite(context, step, what);
  });
  throw Error("ERR_INTERNAL", "the process that computed this step found no fault in it");
}

// Repeats the step: tiles and random draws are pure functions of their numbers, so the batch is the same.
std::optional<NonFiniteOrigin> Trainer::find_origin(const StepContext& context, const LossQueue::Step& step) {
  NonFiniteTrace trace(stage_->parameters());
  try {
    auto batch =
        data::assemble(*context.request.store, step.indices, context.training ? augmenter(context.request) : data::Augmenter());
    batch.cacheable = false;
    if (context.training) {
      stage_->train_batch(batch, 1.0, {seed_, context.request.epoch}, context.control);
    } else {
      stage_->evaluate_batch(batch, context.control);
    }
  } catch (const Error& error) {
    if (error.code != "ERR_NON_FINITE_COST") throw;  // the matching stops at the number whose origin is wanted
  }
  optimizer_.zero_grad();
  return trace.origin();
}

void Trainer::fail_non_finite(const StepContext& context, const LossQueue::Step& step, const std::string& what) {
  const auto& store = *context.request.store;
  List images;
  std::string listed;
  for (auto index : step.indices) {
    const auto& source = store.source_name(store.sample(index).source);
    images.push_back(source);
    listed += (listed.empty() ? "" : ", ") + source;
  }
  const auto number = step.number + 1;
  const auto epoch = context.training ? Value(context.request.epoch) : Value();
  const auto when =
      context.training ? "epoch " + std::to_string(context.request.epoch) + ", step " : std::string("validation batch ");
  const auto origin = find_origin(context, step);
  std::string cause;
  if (origin && origin->operation == "weights") {
    cause = " The weight " + origin->layer + " is not finite.";
  } else if (origin) {
    cause = " It began in " + (origin->layer.empty() ? std::string("the input") : origin->layer) + ", " +
            (origin->backward ? "in the gradient of " : "") + "operation " + origin->operation + ".";
  }
  throw Error("ERR_NON_FINITE_LOSS",
              what + " is not finite in stage " + std::to_string(stage_->number()) + ", " + when + std::to_string(number) +
                  " (images: " + listed + ")." + cause +
                  " The weights are as before this step, and the last saved state is kept. Lower learning_rate, set " +
                  "grad_clip, use precision fp32, or look at these images.",
              {{"loss", what},
               {"stage", stage_->number()},
               {"epoch", epoch},
               {"step", number},
               {"images", images},
               {"layer", origin ? Value(origin->layer) : Value()},
               {"operation", origin ? Value(origin->operation) : Value()},
               {"backward", origin && origin->backward}});
}

}  // namespace cellsam::train
