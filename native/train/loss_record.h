// Losses of an epoch: means over its batches, read one step late so that the device is never waited for.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"

namespace cellsam::train {

// Running sums, plain enough to be saved with the state.
struct LossSums {
  std::vector<double> sums;
  std::int64_t batches = 0;  // batches that had something to learn from
  std::int64_t images = 0;

  void add(const std::vector<double>& losses);
  Dict means(const std::vector<std::string>& names) const;  // null values when no batch counted
};

// Small device tensors on their way to the host.
class LossQueue {
 public:
  struct Step {
    std::int64_t number = 0;
    std::vector<std::int64_t> indices;  // samples, to name them when a loss is not finite
    double lr = 0;
  };
  struct Landed {
    std::vector<double> values;
    Step step;
  };

  void push(const at::Tensor& values, Step step);

  // The oldest losses. Off the CPU the newest ones are left in flight, one step long, unless `flush` asks for all.
  std::optional<Landed> pop(bool flush);

 private:
  struct Flight {
    at::Tensor host;
    std::unique_ptr<c10::Event> landed;  // null on the CPU, where there is nothing to wait for
    Step step;
  };
  std::deque<Flight> flights_;
};

}  // namespace cellsam::train
