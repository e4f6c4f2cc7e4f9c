// Batches of tiles, assembled on a thread of their own while the consumer works on the batch before.
#pragma once

#include <ATen/core/Tensor.h>

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
#include "data/augmenter.h"
#include "data/instances.h"
#include "data/store.h"

namespace cellsam::data {

struct Batch {
  at::Tensor images;                     // u8 [B,3,T,T]
  at::Tensor labels;                     // i32 [B,T,T]
  std::vector<Instances> instances;      // B, from the (augmented) labels
  std::vector<std::int64_t> indices;     // B, tiles of the store
  std::vector<ContentHash> hashes = {};  // B, of the (augmented) images
  bool cacheable = true;                 // whether these images can occur again: not those of endless augmentation
};

// The tiles `indices` of the store as one batch, in that order. augment: empty for tiles as they are. pinned: in page-locked
// memory, which a GPU can copy from without waiting.
Batch assemble(const Store& store, const std::vector<std::int64_t>& indices, const Augmenter& augment = {},
               bool pinned = false);

class BatchLoader {
 public:
  // Assembles `batches` (see in_batches) from number `first` on. prefetch: called with each of them on the loader's thread,
  // while the consumer works on the one before.
  BatchLoader(std::shared_ptr<const Store> store, std::vector<std::vector<std::int64_t>> batches, Augmenter augment = {},
              std::size_t first = 0, bool pinned = false, std::function<void(const Batch&)> prefetch = {});
  ~BatchLoader();  // stops, also with batches left
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next batch; empty after the last one. Rethrows what went wrong in assembling it, also when called again.
  std::optional<Batch> next();

 private:
  void run(c10::Device device);

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
  std::thread thread_;  // last, as it uses all of the above
};

}  // namespace cellsam::data
