// Online hard example mining: the prompts with the largest loss of a batch count more. Training only; validation and
// model selection use the plain mean.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/options.h"
#include "settings/stage2.h"

namespace cellsam::loss {

struct MiningOptions {
  bool enabled = setting::stage2::online_hard_negative_mining.default_value;
  // Weight by how hard, instead of one weight for all hard prompts.
  bool weighted = setting::stage2::online_hard_negative_mining_weighted.default_value;
  double fraction = setting::stage2::ohem_fraction.default_value;  // of the prompts that count as hard; at least one does
  double hard_weight = setting::stage2::ohem_hard_weight.default_value;
  double hard_weight_min = setting::stage2::ohem_hard_weight_min.default_value;
  double hard_weight_max = setting::stage2::ohem_hard_weight_max.default_value;
};

// Reads all but `enabled`, by the names of the settings above. The caller calls options.done().
MiningOptions read_mining_options(Options& options);

// Counted on the host, without looking at the device.
struct MiningStatistics {
  std::int64_t total_examples_processed = 0;
  std::int64_t hard_examples_selected = 0;

  void add(std::int64_t prompts, const MiningOptions& options);
  double hard_examples_ratio() const;  // 0 before the first prompt
};

// How many of `prompts` count as hard: max(1, floor(prompts * fraction)), 0 when there are none or mining is off.
std::int64_t hard_count(std::int64_t prompts, const MiningOptions& options);

// Constant weights [N], dtype and device of `totals` [N], for the loss mean(weights * totals). Of equal totals the first come
// first. Basic: hard_weight for the hard prompts. Weighted: from hard_weight_min to hard_weight_max, linear in the total
// between the least and the most hard prompt; when these are equal, so always with one hard prompt, half way (the minimum if
// the total is 0). All others, and all when `enabled` is off: 1. Makes no host-device sync and no gradient.
at::Tensor mining_weights(const at::Tensor& totals, const MiningOptions& options);

}  // namespace cellsam::loss
