// How many tiles and prompts go through the networks at once. On a CPU few are fastest, as their intermediate tensors stay in
// the caches, and threads can take a batch each: one tile, or some of a small network. A GPU is busy with many only, and each
// pass through a network costs the time to start its kernels: there, as many as a fixed budget of memory holds. Neither depends
// on the number of threads, as the last bits of a prediction do on the size of its batches.
#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "device/device.h"
#include "device/device_memory.h"
#include "infer/network.h"
#include "infer/options.h"
#include "model/cellsam.h"

namespace cellsam::infer {

// What the options say, with their defaults for the model's device.
std::int64_t tiles_at_once(model::CellSam& model, const PredictOptions& options);
std::int64_t prompts_at_once(model::CellSam& model, const PredictOptions& options);

// Calls body(n) with n = count, or less where `limit` is lower. While the memory does not suffice, it halves `limit` and calls
// again. Returns the n that did; rethrows the error when even one is too much.
template <class Body>
std::int64_t as_memory_allows(std::atomic<std::int64_t>& limit, std::int64_t count, at::Device device, Body body) {
  for (;;) {
    const auto n = std::min<std::int64_t>(count, limit);
    try {
      body(n);
      return n;
    } catch (const c10::Error& error) {
      if (n < 2 || !device::is_out_of_memory(error)) throw;
      limit = std::min<std::int64_t>(limit, n / 2);
    }
    device::empty_cache(device);  // after the catch: what was computed is freed by then
  }
}

// Calls body with one batch of `tiles` after another, or with several at a time, as `each` goes through them.
template <class Body>
void for_batches(model::CellSam& model, at::ArrayRef<std::size_t> tiles, const PredictOptions& options,
                 const Cancelled& cancelled, const Each& each, Body body) {
  const auto most = static_cast<std::size_t>(tiles_at_once(model, options));
  for_each(each, static_cast<std::int64_t>((tiles.size() + most - 1) / most), [&](std::int64_t number) {
    const auto begin = static_cast<std::size_t>(number) * most;
    for (auto batch = tiles.slice(begin, std::min(most, tiles.size() - begin)); !batch.empty();) {
      stop_if(cancelled);
      const auto done = as_memory_allows(options.limits->tiles, std::ssize(batch), device_of(model),
                                         [&](std::int64_t n) { body(batch.slice(0, static_cast<std::size_t>(n))); });
      batch = batch.slice(static_cast<std::size_t>(done));
    }
  });
}

}  // namespace cellsam::infer
