// An allocator of host memory that refuses, for tests of what happens when the memory does not suffice.
#pragma once

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cellsam::test {

// Refuses single blocks above a limit, in the words of the CPU's allocator or with the class that devices have for it.
struct LimitedAllocator final : c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    std::size_t seen = largest;
    while (bytes > seen && !largest.compare_exchange_weak(seen, bytes)) {
    }
    if (bytes > limit) {
      ++refused;
      if (as_device) C10_THROW_ERROR(OutOfMemoryError, "the test's device has no more");
      TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", bytes, " bytes.");
    }
    return inner->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t count) const override { inner->copy_data(to, from, count); }

  c10::Allocator* inner = c10::GetDefaultCPUAllocator();
  std::atomic<std::size_t> largest{0}, limit{SIZE_MAX}, refused{0};
  bool as_device = false;
};

// From the first call on, torch's allocator of this process.
inline LimitedAllocator& limited_allocator() {
  static LimitedAllocator allocator;
  static const bool set = (c10::SetCPUAllocator(&allocator, /*priority=*/1), true);
  static_cast<void>(set);
  return allocator;
}

}  // namespace cellsam::test
