#include "data/batch.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>
#include <system_error>
#include <tuple>

#include "engine.h"

namespace cellsam::data {

Batch assemble(const Store& store, const std::vector<std::int64_t>& indices, const Augmenter& augment, bool pinned) {
  const auto n = static_cast<std::int64_t>(indices.size()), size = store.tile_size();
  const auto memory = [pinned](at::ScalarType type) { return at::TensorOptions(type).pinned_memory(pinned); };
  Batch batch{at::empty({n, 3, size, size}, memory(at::kByte)), at::empty({n, size, size}, memory(at::kInt)), {}, indices, {}};
  for (std::int64_t i = 0; i < n; ++i) {
    const auto sample = store.sample(indices[i]);
    at::Tensor image = sample.image, labels = sample.labels;
    if (augment) {
      std::tie(image, labels) = augment(image, labels, sample.valid, static_cast<std::uint64_t>(indices[i]));
      if (image.sizes() != sample.image.sizes() || labels.sizes() != sample.labels.sizes()) {
        throw Error("ERR_INTERNAL", "an augmentation changed the size of a tile");
      }
    }
    // memcpy, not copy_, which would start a second pool of OpenMP threads on the loader's thread.
    auto* const pixels = batch.images.select(0, i).data_ptr();
    std::memcpy(pixels, image.contiguous().data_ptr(), image.nbytes());
    batch.hashes.push_back(content_hash(pixels, image.nbytes()));
    const auto target = batch.labels.select(0, i);
    std::memcpy(target.data_ptr(), labels.contiguous().data_ptr(), labels.nbytes());
    batch.instances.push_back(find_instances(target));
  }
  return batch;
}

BatchLoader::BatchLoader(std::shared_ptr<const Store> store, std::vector<std::vector<std::int64_t>> batches, Augmenter augment,
                         std::size_t first, bool pinned, std::function<void(const Batch&)> prefetch, std::int64_t most_threads)
    : store_(std::move(store)),
      batches_(std::move(batches)),
      augment_(std::move(augment)),
      pinned_(pinned),
      prefetch_(std::move(prefetch)),
      // Pinned memory is made for the GPU that is current here: without a current device, CUDA would take GPU 0.
      device_(pinned ? c10::impl::VirtualGuardImpl(at::kCUDA).getDevice() : c10::Device(at::kCPU)),
      first_(first),
      most_threads_(most_threads),
      given_(first),
      begun_(first),
      end_(batches_.size()) {
  std::lock_guard lock(mutex_);
  add_thread();
}

BatchLoader::~BatchLoader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void BatchLoader::add_thread() {
  try {
    threads_.emplace_back([this] { run(); });
  } catch (const std::system_error&) {  // the system has no more threads
    if (threads_.empty()) throw;
  }
}

std::optional<Batch> BatchLoader::next() {
  std::unique_lock lock(mutex_);
  const auto arrived = [this] { return ready_.contains(given_) || given_ >= end_; };
  // Nothing is ready when the first one is asked for: that says nothing about the threads.
  if (!arrived() && given_ > first_ && std::ssize(threads_) < most_threads_) add_thread();
  changed_.wait(lock, arrived);
  const auto batch = ready_.find(given_);
  if (batch == ready_.end()) {
    if (failure_) std::rethrow_exception(failure_);
    return std::nullopt;
  }
  std::optional<Batch> next(std::move(batch->second));
  ready_.erase(batch);
  ++given_;
  lock.unlock();
  changed_.notify_all();
  return next;
}

void BatchLoader::run() {
  const c10::DeviceGuard current(device_);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || begun_ >= end_ || begun_ < given_ + threads_.size(); });
    if (stop_ || begun_ >= end_) return;
    const auto number = begun_++;
    lock.unlock();
    std::optional<Batch> batch;
    std::exception_ptr failure;
    try {
      batch = assemble(*store_, batches_[number], augment_, pinned_);
      if (prefetch_) prefetch_(*batch);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (!failure) {
      ready_.emplace(number, *std::move(batch));
    } else if (number < end_) {  // of several that fail, the first one in the order of batches ends it
      end_ = number;
      failure_ = failure;
    }
    changed_.notify_all();
  }
}

}  // namespace cellsam::data
