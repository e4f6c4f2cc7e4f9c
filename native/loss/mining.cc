#include "loss/mining.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "engine.h"

namespace cellsam::loss {

MiningOptions read_mining_options(Options& options) {
  MiningOptions read;
  read.weighted = options.read(setting::stage2::online_hard_negative_mining_weighted);
  read.fraction = options.read(setting::stage2::ohem_fraction);
  read.hard_weight = options.read(setting::stage2::ohem_hard_weight);
  read.hard_weight_min = options.read(setting::stage2::ohem_hard_weight_min);
  read.hard_weight_max = options.read(setting::stage2::ohem_hard_weight_max);
  return read;
}

void MiningStatistics::add(std::int64_t prompts, const MiningOptions& options) {
  total_examples_processed += prompts;
  hard_examples_selected += hard_count(prompts, options);
}

double MiningStatistics::hard_examples_ratio() const {
  if (total_examples_processed == 0) return 0;
  return static_cast<double>(hard_examples_selected) / static_cast<double>(total_examples_processed);
}

std::int64_t hard_count(std::int64_t prompts, const MiningOptions& options) {
  if (!options.enabled || prompts == 0) return 0;
  // 0.29 * 100 is 28.999... in binary; the tiny excess makes it 29.
  const auto count = static_cast<std::int64_t>(std::floor(static_cast<double>(prompts) * options.fraction + 1e-9));
  return std::max<std::int64_t>(1, count);
}

at::Tensor mining_weights(const at::Tensor& totals, const MiningOptions& options) {
  if (totals.dim() != 1) throw Error("ERR_INVALID_ARGUMENT", "hard example mining: totals must have the shape [N]");
  at::NoGradGuard no_grad;
  auto weights = at::ones_like(totals);
  const auto count = hard_count(totals.size(0), options);
  if (count == 0) return weights;
  const auto [sorted, order] = at::sort(totals.detach(), /*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto hard = sorted.narrow(0, 0, count);
  at::Tensor chosen = at::full_like(hard, options.hard_weight);
  if (options.weighted) {
    const auto most = hard.narrow(0, 0, 1), least = hard.narrow(0, count - 1, 1);
    const auto flat = at::where(most > 0, 0.5, 0.0).to(hard.dtype());
    const auto badness = at::where(most > least, (hard - least) / (most - least), flat);
    chosen = options.hard_weight_min + (options.hard_weight_max - options.hard_weight_min) * badness;
  }
  return weights.scatter_(0, order.narrow(0, 0, count), chosen);
}

}  // namespace cellsam::loss
