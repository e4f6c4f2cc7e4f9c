// The learning-rate schedule of a stage: a factor on the base learning rate, as a function of the step and, for `plateau`, of
// the losses seen.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "engine.h"

namespace cellsam::optim {

enum class ScheduleType { none, step, plateau, cosine };

// Reads "none", "step", "plateau" or "cosine"; throws ERR_INVALID_ARGUMENT otherwise.
ScheduleType schedule_type_of(const std::string& name);

struct ScheduleOptions {
  ScheduleType type = ScheduleType::none;
  std::int64_t total_steps = 1;  // steps of the whole stage; the unit (batch or epoch) is the caller's
  double warmup_fraction = 0;    // of total_steps, linear from 0, multiplied in for every type
  double step_at = 0.7;          // step: factor step_factor from step int(step_at * total_steps) on
  double step_factor = 0.9;
  double plateau_factor = 0.5;  // plateau: multiplied in after more than `plateau_patience` observations in a row without ...
  std::int64_t plateau_patience = 10;
  double plateau_threshold = 1e-4;  // ... a loss below best * (1 - threshold)
};

class Schedule {
 public:
  // Throws ERR_INVALID_ARGUMENT when a number is out of range.
  explicit Schedule(ScheduleOptions options);

  // Factor of step 0 .. total_steps-1; later steps keep the last value of `step` and `plateau`, and 0 of `cosine`.
  double factor(std::int64_t step) const;

  // Tells the plateau rule a loss (validation, or training without one), usually per epoch. NaN counts as no improvement. The
  // other types ignore it.
  void observe(double loss);

  // {factor, best (null before the first loss), bad}: what observe() has changed, for `--resume`.
  Dict state() const;
  void load_state(const Dict& state);  // throws ERR_STATE_MISMATCH for a missing or wrong entry

 private:
  ScheduleOptions options_;
  double plateau_ = 1;
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t bad_ = 0;
};

}  // namespace cellsam::optim
