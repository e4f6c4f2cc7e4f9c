// Loading this library makes torch believe in CUDA devices. The operators make themselves known in their own files.
#include <c10/core/Allocator.h>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/register.h"

namespace fake_cuda {
namespace {

[[maybe_unused]] const bool registered = [] {
  watch_host_accesses();
  constexpr std::uint8_t kHighest = 255;  // before the one that libtorch_cpu has for want of a better
  c10::SetAllocator(at::kCUDA, &device_allocator(), kHighest);
  register_guard();
  register_attention();
  return true;
}();

}  // namespace
}  // namespace fake_cuda
