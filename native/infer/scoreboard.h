// The counts of a label map that changes instance by instance.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/sweep.h"

namespace cellsam::infer {

// What one visible instance adds. An instance that lies at least half in ignored pixels adds nothing.
struct Share {
  bool counts = false;
  std::int64_t pixels = 0;  // not ignored
  std::int64_t shared = 0;  // with any true instance
  std::int32_t truth = 0;   // the true instance with an IoU of at least 0.5, 0 = none
  double iou = 0;
};

class Scoreboard {
 public:
  // `truth` i32 [H,W], -1 = ignored.
  explicit Scoreboard(const at::Tensor& truth);

  Share judge(const Mask& visible) const;
  void add(const Share& share) { change(share, 1); }
  void remove(const Share& share) { change(share, -1); }

  std::int64_t truth_count() const { return static_cast<std::int64_t>(areas_.size()); }
  std::int64_t truth_pixels() const { return truth_pixels_; }
  const SweepStep& now() const { return now_; }

 private:
  void change(const Share& share, int sign);

  at::Tensor truth_;
  std::unordered_map<std::int32_t, std::int64_t> areas_;
  std::int64_t truth_pixels_ = 0;
  SweepStep now_;
  std::unordered_map<std::int32_t, std::vector<double>> ious_;  // of each true instance
};

}  // namespace cellsam::infer
