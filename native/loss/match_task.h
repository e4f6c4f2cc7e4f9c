// One matching, an image in one decoder layer: its checked targets, its costs and its solution. Shared by the matching
// of a single image and that of all layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "loss/hungarian.h"
#include "loss/targets.h"

namespace cellsam::loss {

struct HostTargets {
  at::Tensor boxes;   // [T,4] on the CPU, dtype of the predictions
  at::Tensor labels;  // [T] int64 on the CPU
};

[[noreturn]] void fail_match(const std::string& what, at::IntArrayRef got);

// Throws ERR_INVALID_ARGUMENT for a wrong shape or a label that is no class.
HostTargets read_targets(const Targets& targets, at::ScalarType dtype, std::int64_t classes);

struct MatchTask {
  const at::Tensor& logits;  // [B,Q,C], of the whole layer, on the CPU, without gaps
  const at::Tensor& boxes;   // [B,Q,4], likewise, of the same dtype
  std::int64_t image;
  const HostTargets* targets;  // of that image, of the same dtype
  const MatchCost& cost;

  std::int64_t count() const { return targets->boxes.size(0); }
  std::int64_t queries() const { return logits.size(1); }
  std::int64_t classes() const { return logits.size(2); }
  template <class Number>
  const Number* logits_of() const {
    return logits.const_data_ptr<Number>() + image * queries() * classes();
  }
  template <class Number>
  const Number* boxes_of() const {
    return boxes.const_data_ptr<Number>() + image * queries() * 4;
  }
};

// Costs [T,Q].
at::Tensor match_costs(const MatchTask& task);

// The cheapest matching of the same; rows are queries and ascend, columns are targets. In float32 the costs are made row by row
// and never stand in memory together, unless there are more targets than queries. Runs no tensor operation, so that any thread
// may call it.
Assignment solve_match(const MatchTask& task);

}  // namespace cellsam::loss
