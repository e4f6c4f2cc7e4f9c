// What a trainer does where several processes train one model: which batches are whose, and what they tell each other.
#include <ATen/ATen.h>

#include <exception>

#include "train/trainer.h"

namespace cellsam::train {

std::int64_t Trainer::owner_of(const StepContext& context, std::int64_t number) const {
  return (context.training ? number % options_.accumulate : number) % group_->size();
}

std::vector<std::int64_t> Trainer::own_numbers(const StepContext& context, std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> own;
  for (auto number = first; number < first + count; ++number) {
    if (!group_ || owner_of(context, number) == group_->rank()) own.push_back(number);
  }
  return own;
}

std::vector<std::vector<std::int64_t>> Trainer::own_batches(const StepContext& context,
                                                            const std::vector<std::vector<std::int64_t>>& batches,
                                                            std::int64_t first) const {
  std::vector<std::vector<std::int64_t>> own;
  for (const auto number : own_numbers(context, first, std::ssize(batches) - first))
    own.push_back(batches[static_cast<std::size_t>(number)]);
  return own;
}

bool Trainer::compute(const Control& control, const std::function<void()>& body) {
  if (!group_) {
    body();
    return control.cancelled();
  }
  std::exception_ptr failure;
  try {
    body();
  } catch (...) {
    failure = std::current_exception();
  }
  return group_->agree(control.cancelled(), failure);
}

std::vector<at::Tensor> Trainer::gather(std::vector<at::Tensor> losses, bool gradients) {
  if (!group_) return losses;
  // A row for each batch: whether it has losses, and the losses. The rows of other processes are 0 here.
  auto rows = at::zeros({std::ssize(losses), std::ssize(stage_->loss_names()) + 1}, at::kFloat);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    if (!losses[i].defined()) continue;
    auto row = rows[static_cast<std::int64_t>(i)];
    row[0].fill_(1);
    row.narrow(0, 1, losses[i].numel()).copy_(losses[i]);
  }
  if (gradients) {
    (*gradient_sum_)(rows);
  } else {
    group_->sum({rows});
  }
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto row = rows[static_cast<std::int64_t>(i)];
    losses[i] = row[0].item<float>() > 0 ? row.slice(0, 1).clone() : at::Tensor();
  }
  return losses;
}

}  // namespace cellsam::train
