#include "device/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "device/device.h"

namespace cellsam::device {
namespace {

// Of a device that torch has used; null otherwise.
c10::DeviceAllocator* allocator_of(const at::Device& device) {
  if (device.is_cpu()) return nullptr;
  auto* allocator = c10::getDeviceAllocator(device.type());
  return allocator->initialized() ? allocator : nullptr;
}

Value memory(c10::DeviceAllocator& allocator, const at::Device& device) {
  // Over all memory pools.
  constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto statistics = allocator.getDeviceStats(device.index());
  const auto& allocated = statistics.allocated_bytes.at(kAll);
  const auto& reserved = statistics.reserved_bytes.at(kAll);
  const auto [free, total] = allocator.getMemoryInfo(device.index());
  return Dict{{"allocated", allocated.current},
              {"reserved", reserved.current},
              {"max_allocated", allocated.peak},
              {"max_reserved", reserved.peak},
              {"free", free},
              {"total", total}};
}

}  // namespace

bool is_device_command(std::string_view command) {
  return command == "device.memory" || command == "device.reset_peak" || command == "device.empty_cache";
}

Value call_device(std::string_view command, Options& options) {
  const auto device = parse_device(options.require_text("device"));
  options.done();
  auto* allocator = allocator_of(device);
  if (allocator == nullptr) return {};
  if (command == "device.memory") return memory(*allocator, device);
  if (command == "device.reset_peak") {
    allocator->resetPeakStats(device.index());
  } else {
    allocator->emptyCache();
  }
  return {};
}

void empty_cache(const c10::Device& device) {
  if (auto* allocator = allocator_of(device)) allocator->emptyCache();
}

}  // namespace cellsam::device
