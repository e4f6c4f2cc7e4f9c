#include "train/loss_record.h"

#include <c10/core/impl/VirtualGuardImpl.h>

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
  Flight flight{values, nullptr, std::move(step)};
  if (!values.is_cpu()) {
    flight.host = at::empty(values.sizes(), values.options().device(at::kCPU).pinned_memory(true));
    flight.host.copy_(values, /*non_blocking=*/true);
    const c10::impl::VirtualGuardImpl guard(values.device().type());
    flight.landed = std::make_unique<c10::Event>(values.device().type());
    flight.landed->record(guard.getStream(values.device()));
  }
  flights_.push_back(std::move(flight));
}

std::optional<LossQueue::Landed> LossQueue::pop(bool flush) {
  if (flights_.empty()) return std::nullopt;
  auto& flight = flights_.front();
  if (flight.landed) {
    if (!flush && flights_.size() < 2) return std::nullopt;
    flight.landed->synchronize();
  }
  const auto* values = flight.host.data_ptr<float>();
  Landed landed{{values, values + flight.host.numel()}, std::move(flight.step)};
  flights_.pop_front();
  return landed;
}

}  // namespace cellsam::train
