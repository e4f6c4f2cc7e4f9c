#include "data/sampler.h"

#include <algorithm>
#include <utility>

#include "base/rng.h"
#include "engine.h"

namespace cellsam::data {
namespace {
constexpr std::uint64_t kStream = 0x5a3b1e;  // key of a random stream that others of the same seed, fold and epoch do not use
}

std::vector<std::int64_t> epoch_order(std::vector<std::int64_t> indices, std::uint64_t seed, std::uint64_t fold,
                                      std::uint64_t epoch) {
  CounterRng rng{kStream, seed, fold, epoch};
  for (std::size_t i = indices.size(); i > 1; --i) std::swap(indices[i - 1], indices[rng.below(i)]);
  return indices;
}

std::vector<std::vector<std::int64_t>> in_batches(const std::vector<std::int64_t>& order, std::int64_t batch_size) {
  if (batch_size < 1) throw Error("ERR_INVALID_ARGUMENT", "batch_size must be at least 1");
  const auto size = static_cast<std::size_t>(batch_size);
  std::vector<std::vector<std::int64_t>> batches;
  for (std::size_t first = 0; first < order.size(); first += size) {
    batches.emplace_back(order.begin() + first, order.begin() + std::min(order.size(), first + size));
  }
  return batches;
}

}  // namespace cellsam::data
