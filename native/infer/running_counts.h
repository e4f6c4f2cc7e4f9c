// Counts of a label map against the truth that are updated instance by instance, for thousands of thresholds.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/sweep_step.h"

namespace cellsam::infer {

// What one visible instance adds to the counts. One that lies at least half in ignored pixels adds nothing.
struct Contribution {
  bool counts = false;
  std::int64_t pixels = 0;  // that are not ignored
  std::int64_t shared = 0;  // with any true instance
  std::int32_t truth = 0;   // the true instance with which its IoU is at least 0.5; 0: none
  double iou = 0;           // with that
};

class RunningCounts {
 public:
  // truth: i32 [H,W], -1 = ignored.
  explicit RunningCounts(const at::Tensor& truth);

  Contribution contribution_of(const Mask& visible) const;
  void add(const Contribution& contribution) { change(contribution, 1); }
  void remove(const Contribution& contribution) { change(contribution, -1); }

  std::int64_t truth_count() const { return static_cast<std::int64_t>(areas_.size()); }
  std::int64_t truth_pixels() const { return truth_pixels_; }
  const SweepStep& now() const { return now_; }

 private:
  void change(const Contribution& contribution, int sign);

  at::Tensor truth_;
  std::unordered_map<std::int32_t, std::int64_t> areas_;  // of the true instances
  std::int64_t truth_pixels_ = 0;
  SweepStep now_;
  std::unordered_map<std::int32_t, std::vector<double>> ious_;  // of each true instance with instances of the label map
};

}  // namespace cellsam::infer
