#include "fake_cuda/device_allocator.h"

#include <cstring>

#include "fake_cuda/graphs.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

class DeviceAllocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(current_device()));
    if (bytes == 0) return {nullptr, nullptr, &release, device};
    const auto stream = current_stream(current_device());
    auto* begin = fake_cuda::allocate(stream, bytes, recording_pool(stream));
    return {begin, begin, &release, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(shadow(to), shadow(from), bytes); }

  bool initialized() override { return has_context(0) || has_context(1); }

  // On a GPU it waits for the device when there is something to give back.
  void emptyCache(c10::MempoolId_t) override {
    for (int d = 0; d < settings().devices; ++d)
      if (is_recording(current_stream(d))) hazard("emptyCache on a thread that records a graph");
    if (believes_in_failed_recording()) return note("emptyCache gives nothing back after a failed recording");
    note("emptyCache");
    forget_unused();
  }

  void recordStream(const c10::DataPtr& memory, c10::Stream stream) override {
    const Locked lock(state());
    if (auto* block = block_at(memory.get()))
      block->recorded.insert(Stream{stream.device_index(), static_cast<int>(stream.id())}.number());
  }

  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex device) override {
    const auto memory = memory_of(device);
    c10::CachingDeviceAllocator::DeviceStats stats;
    const auto set = [](c10::CachingAllocator::Stat& stat, std::size_t current, std::size_t peak) {
      stat.current = static_cast<std::int64_t>(current);
      stat.peak = static_cast<std::int64_t>(peak);
    };
    set(stats.allocated_bytes[kAll], memory.allocated, memory.peak);
    set(stats.requested_bytes[kAll], memory.allocated, memory.peak);
    set(stats.reserved_bytes[kAll], memory.reserved, memory.peak_reserved);
    set(stats.allocation[kAll], memory.allocations, memory.allocations);
    stats.num_ooms = static_cast<std::int64_t>(memory.refused);
    return stats;
  }

  void resetAccumulatedStats(c10::DeviceIndex) override {}

  void resetPeakStats(c10::DeviceIndex device) override {
    reset_peak(device);
    end_span("span");
  }

  std::pair<std::size_t, std::size_t> getMemoryInfo(c10::DeviceIndex device) override {
    const auto total = settings().memory;
    return {total - std::min(total, memory_of(device).reserved), total};
  }
};

}  // namespace

c10::DeviceAllocator& device_allocator() {
  static auto& allocator = *new DeviceAllocator;
  return allocator;
}

}  // namespace fake_cuda
