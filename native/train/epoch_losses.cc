#include "train/epoch_losses.h"

#include "base/fetch.h"

namespace cellsam::train {

void LossSums::add(const std::vector<double>& losses) {
  if (sums.empty()) sums.assign(losses.size(), 0.0);
  for (std::size_t i = 0; i < losses.size(); ++i) sums[i] += losses[i];
  ++batches;
}

Dict LossSums::means(const std::vector<std::string>& names) const {
  Dict means;
  for (std::size_t i = 0; i < names.size(); ++i) {
    means[names[i]] = batches > 0 ? Value(sums[i] / static_cast<double>(batches)) : Value();
  }
  return means;
}

void LossQueue::push(const at::Tensor& values, Step step) {
  Transfer transfer{fetch(values), nullptr, std::move(step)};
  if (!values.is_cpu()) transfer.done = std::make_unique<c10::Event>(record_event(values.device()));
  transfers_.push_back(std::move(transfer));
}

std::optional<LossQueue::StepLosses> LossQueue::pop(bool flush) {
  if (transfers_.empty()) return std::nullopt;
  auto& transfer = transfers_.front();
  if (transfer.done) {
    if (!flush && transfers_.size() < 2) return std::nullopt;
    transfer.done->synchronize();
  }
  const auto* values = transfer.host.data_ptr<float>();
  StepLosses losses{{values, values + transfer.host.numel()}, std::move(transfer.step)};
  transfers_.pop_front();
  return losses;
}

}  // namespace cellsam::train
