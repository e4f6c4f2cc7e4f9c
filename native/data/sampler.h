// The order of tiles in an epoch: a pure function of seed, fold and epoch, so that a resumed run continues in the same order,
// and the order of folds does not matter.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam::data {

// `indices` in a random order (Fisher-Yates), which depends on the arguments alone.
std::vector<std::int64_t> epoch_order(std::vector<std::int64_t> indices, std::uint64_t seed, std::uint64_t fold,
                                      std::uint64_t epoch);

// Divides `order` into batches of `batch_size`; the last one may be shorter. Throws ERR_INVALID_ARGUMENT for a size below 1.
std::vector<std::vector<std::int64_t>> in_batches(const std::vector<std::int64_t>& order, std::int64_t batch_size);

}  // namespace cellsam::data
