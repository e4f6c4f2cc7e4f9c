// The losses of an epoch: their means over its batches, and the queue that brings them from a GPU one step late, so that no
// step waits for the device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"

namespace cellsam::train {

// Running sums, which are saved with the state of a training.
struct LossSums {
  std::vector<double> sums;  // one for each loss; empty before the first batch
  std::int64_t batches = 0;  // batches with losses: a batch without cells may have none
  std::int64_t images = 0;

  void add(const std::vector<double>& losses);
  Dict means(const std::vector<std::string>& names) const;  // by name; null when no batch had losses
};

// Small tensors on their way from the device to the host.
class LossQueue {
 public:
  struct Step {
    std::int64_t number = 0;            // from 0
    std::vector<std::int64_t> indices;  // tiles of the batch, to name their images when a loss is not finite
    double lr = 0;
  };
  struct StepLosses {
    std::vector<double> values;
    Step step;
  };

  // values: f32 [k]; copied to the host without waiting.
  void push(const at::Tensor& values, Step step);

  // The oldest losses, if any. Of a GPU the newest ones are left in the queue for another step, unless `flush` asks for all.
  std::optional<StepLosses> pop(bool flush);

 private:
  struct Transfer {
    at::Tensor host;
    std::unique_ptr<c10::Event> done;  // null on the CPU, where there is nothing to wait for
    Step step;
  };
  std::deque<Transfer> transfers_;
};

}  // namespace cellsam::train
