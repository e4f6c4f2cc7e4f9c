#include "data/batch.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>
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
                         std::size_t first, bool pinned, std::function<void(const Batch&)> prefetch)
    : store_(std::move(store)),
      batches_(std::move(batches)),
      augment_(std::move(augment)),
      first_(first),
      pinned_(pinned),
      prefetch_(std::move(prefetch)) {
  // Pinned memory is made for the GPU that is current here: without a current device, CUDA would take GPU 0.
  const auto device = pinned ? c10::impl::VirtualGuardImpl(at::kCUDA).getDevice() : c10::Device(at::kCPU);
  thread_ = std::thread([this, device] { run(device); });
}

BatchLoader::~BatchLoader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<Batch> BatchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_ || failure_ || done_; });
  if (ready_) {
    auto batch = std::move(ready_);
    ready_.reset();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }
  if (failure_) std::rethrow_exception(failure_);
  return std::nullopt;
}

void BatchLoader::run(c10::Device device) {
  try {
    const c10::DeviceGuard current(device);
    for (auto i = first_; i < batches_.size(); ++i) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !ready_ || stop_; });
        if (stop_) return;
      }
      auto batch = assemble(*store_, batches_[i], augment_, pinned_);
      if (prefetch_) prefetch_(batch);
      {
        std::lock_guard lock(mutex_);
        ready_ = std::move(batch);
      }
      changed_.notify_all();
    }
  } catch (...) {
    std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
}

}  // namespace cellsam::data
