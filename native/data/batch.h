// Batches of tiles, assembled on threads of their own while the consumer works on the batch before.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
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
  static constexpr std::int64_t kMostThreads = 16;  // each holds a batch in memory

  // Assembles `batches` (see in_batches) from number `first` on. prefetch: called with each of them on a thread of the loader,
  // while the consumer works on the ones before. It begins with one thread, and takes another, up to `most_threads`, each time
  // the consumer has to wait; each thread is at most one batch ahead. Batches do not depend on the threads.
  BatchLoader(std::shared_ptr<const Store> store, std::vector<std::vector<std::int64_t>> batches, Augmenter augment = {},
              std::size_t first = 0, bool pinned = false, std::function<void(const Batch&)> prefetch = {},
              std::int64_t most_threads = 1);
  ~BatchLoader();  // stops, also with batches left
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next batch; empty after the last one. Rethrows what went wrong in assembling it, also when called again.
  std::optional<Batch> next();

 private:
  void run();
  void add_thread();

  std::shared_ptr<const Store> store_;
  std::vector<std::vector<std::int64_t>> batches_;
  Augmenter augment_;
  bool pinned_;
  std::function<void(const Batch&)> prefetch_;
  c10::Device device_;  // current on the threads
  std::size_t first_;
  std::int64_t most_threads_;

  std::mutex mutex_;
  std::condition_variable changed_;     // of what is under mutex_
  std::size_t given_, begun_;           // under mutex_; numbers of the next batch for the consumer and for a thread
  std::size_t end_;                     // under mutex_; number after the last batch that there will be
  std::map<std::size_t, Batch> ready_;  // under mutex_
  std::exception_ptr failure_;          // under mutex_; of batch end_
  bool stop_ = false;                   // under mutex_
  std::vector<std::thread> threads_;    // last, as they use all of the above
};

}  // namespace cellsam::data
