// Tiles of a store become batches, one batch ahead of the consumer on a thread of their own.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "data/store.h"
#include "data/targets.h"

namespace cellsam::data {

struct Batch {
  at::Tensor images;                     // u8 [B,3,T,T]
  at::Tensor labels;                     // i32 [B,T,T]
  std::vector<Instances> instances;      // B, from the (augmented) labels
  std::vector<std::int64_t> indices;     // B, tiles of the store
  std::vector<ContentHash> hashes = {};  // B, of the images as they are here
  bool cacheable = true;                 // the same images come again in other epochs or runs; not so with endless augmentation
};

// Changes image [3,T,T] and labels [T,T] of tile number `sample` in the same way; `valid` is the top, left, height and width of
// what of the tile is not padding. Must be a pure function that any thread may call; augment::augmenter(seed, epoch) makes one.
// Empty: tiles are taken as they are.
using Augmenter = std::function<std::pair<at::Tensor, at::Tensor>(
    const at::Tensor& image, const at::Tensor& labels, const std::array<std::int64_t, 4>& valid, std::uint64_t sample)>;

// The tiles `indices` of the store as one batch, in that order. `pinned`: in memory that a GPU reads by itself.
Batch assemble(const Store& store, const std::vector<std::int64_t>& indices, const Augmenter& augment = {},
               bool pinned = false);

class BatchLoader {
 public:
  // Serves `batches` (see in_batches) from number `first` on. `prefetch` sees each of them on the loader's thread, while the
  // consumer is still at the one before.
  BatchLoader(std::shared_ptr<const Store> store, std::vector<std::vector<std::int64_t>> batches, Augmenter augment = {},
              std::size_t first = 0, bool pinned = false, std::function<void(const Batch&)> prefetch = {});
  ~BatchLoader();  // stops and joins, also with batches left
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next batch, or nothing after the last. Rethrows what went wrong while it was assembled, and again when asked again.
  std::optional<Batch> next();

 private:
  void run();

  std::shared_ptr<const Store> store_;
  std::vector<std::vector<std::int64_t>> batches_;
  Augmenter augment_;
  std::size_t first_;
  bool pinned_;
  std::function<void(const Batch&)> prefetch_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Batch> ready_;
  std::exception_ptr failure_;
  bool done_ = false;
  bool stop_ = false;
  std::thread thread_;  // last: starts when all of the above exist
};

}  // namespace cellsam::data
