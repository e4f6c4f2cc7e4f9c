// Pinned memory is the host's, in blocks that are known and that come again, as in torch's caching allocator.
#include <cstdlib>
#include <cstring>
#include <map>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/graphs.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

constexpr std::size_t kSmallest = 64;

struct Pinned {
  std::map<char*, std::size_t> used;
  std::multimap<std::size_t, char*> unused;
};

Pinned& pinned() {
  static auto& all = *new Pinned;
  return all;
}

void release_pinned(void* begin) {
  const Locked lock(state());
  const auto it = pinned().used.find(static_cast<char*>(begin));
  if (it == pinned().used.end()) return;
  if (is_in_transfer(begin, it->second)) hazard("pinned memory is freed while a copy from or to it is under way");
  pinned().unused.emplace(it->second, it->first);
  pinned().used.erase(it);
}

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release_pinned, at::kCPU};
    const Locked lock(state());
    std::size_t size = kSmallest;
    while (size < bytes) size *= 2;
    char* begin = nullptr;
    if (const auto it = pinned().unused.find(size); it != pinned().unused.end()) {
      begin = it->second;
      pinned().unused.erase(it);
    } else {
      open_context(current_device());
      if (is_recording(current_stream(current_device()))) note("memory is pinned by a thread that records a graph");
      begin = static_cast<char*>(std::aligned_alloc(kSmallest, size));
      TORCH_CHECK(begin != nullptr, "CUDA error: out of memory (pinned)");
      count(&Counts::pinned_blocks);
    }
    std::memset(begin, kPoison, size);
    pinned().used[begin] = size;
    return {begin, begin, &release_pinned, at::kCPU};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release_pinned; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};

}  // namespace

c10::Allocator& pinned_allocator() {
  static auto& allocator = *new PinnedAllocator;
  return allocator;
}

bool is_pinned(const void* address) {
  const Locked lock(state());
  auto* at = static_cast<char*>(const_cast<void*>(address));
  const auto it = pinned().used.upper_bound(at);
  if (it == pinned().used.begin()) return false;
  const auto& [begin, size] = *std::prev(it);
  return at < begin + size;
}

}  // namespace fake_cuda
