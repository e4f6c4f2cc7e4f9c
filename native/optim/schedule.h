// The learning rate schedule of a stage: a factor of the base learning rate that depends on the step and, for `plateau`, on the
// losses so far.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "engine.h"

namespace cellsam::optim {

enum class ScheduleType { none, step, plateau, cosine };

// Reads "none", "step", "plateau" or "cosine"; throws ERR_INVALID_ARGUMENT otherwise.
ScheduleType parse_schedule_type(const std::string& name);

struct ScheduleOptions {
  ScheduleType type = ScheduleType::none;
  std::int64_t total_steps = 1;  // of the whole stage, counted as the caller counts steps: in updates or in epochs
  double warmup_fraction = 0;    // of total_steps; the factor of any type rises linearly from 0 in them

  // step: step_factor from the step int(step_at * total_steps) on.
  double step_at = 0.7;
  double step_factor = 0.9;

  // plateau: multiplied by plateau_factor when more than plateau_patience losses in a row are not below
  // best * (1 - plateau_threshold).
  double plateau_factor = 0.5;
  std::int64_t plateau_patience = 10;
  double plateau_threshold = 1e-4;
};

class Schedule {
 public:
  // Throws ERR_INVALID_ARGUMENT when a number is out of range.
  explicit Schedule(ScheduleOptions options);

  // The factor of a step from 0 to total_steps - 1. For later steps that of the last one; with cosine it is 0.
  double factor(std::int64_t step) const;

  // Takes the next loss into account, usually an epoch's validation loss. NaN is no improvement. Only plateau looks at it.
  void observe(double loss);

  // What observe() has changed, for resuming: {factor, best (null before the first loss), bad}.
  Dict state() const;
  // Throws ERR_STATE_MISMATCH for a missing or wrong entry.
  void load_state(const Dict& state);

 private:
  ScheduleOptions options_;
  double plateau_ = 1;  // factor
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t bad_ = 0;  // losses in a row without an improvement
};

}  // namespace cellsam::optim
