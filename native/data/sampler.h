// In which order an epoch sees its tiles: a pure function of seed, fold and epoch, so that a resumed run continues the same
// order and the order of folds does not matter.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam::data {

// `indices` in a random order (Fisher-Yates) that depends on the four arguments and nothing else.
std::vector<std::int64_t> epoch_order(std::vector<std::int64_t> indices, std::uint64_t seed, std::uint64_t fold,
                                      std::uint64_t epoch);

// `order` in pieces of `batch_size` (at least 1, else ERR_INVALID_ARGUMENT); the last one may be shorter and is kept.
std::vector<std::vector<std::int64_t>> in_batches(const std::vector<std::int64_t>& order, std::int64_t batch_size);

}  // namespace cellsam::data
