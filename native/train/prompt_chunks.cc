#include "train/prompt_chunks.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace cellsam::train {
namespace {

// Small on a CPU, where a few prompts at once are fastest: their intermediate tensors stay in the caches.
constexpr std::int64_t kHostBudget = std::int64_t{512} << 20;
constexpr std::int64_t kDeviceBudget = std::int64_t{4} << 30;

}  // namespace

PromptChunks::PromptChunks(std::int64_t size, at::Device device, std::int64_t bytes) : device_(device), size_(size) {
  if (size_ == 0) size_ = std::max<std::int64_t>(1, (device.is_cpu() ? kHostBudget : kDeviceBudget) / bytes);
}

std::vector<std::vector<ImagePrompts>> PromptChunks::split(const std::vector<ImagePrompts>& prompts, bool per_image) const {
  std::vector<std::vector<ImagePrompts>> chunks;
  std::int64_t free = 0;  // prompts that the last chunk can still take
  for (const auto& image : prompts) {
    const auto n = image.boxes.size(0);
    if (per_image) free = 0;
    for (std::int64_t begin = 0, length = 0; begin < n; begin += length) {
      if (free == 0) {
        chunks.emplace_back();
        free = size_;
      }
      length = std::min(free, n - begin);
      chunks.back().push_back({image.image, image.boxes.narrow(0, begin, length), image.ids.narrow(0, begin, length)});
      free -= length;
    }
  }
  return chunks;
}

std::string PromptChunks::halve(const std::vector<ImagePrompts>& prompts) {
  const auto used = std::min(size_, count_of(prompts));
  if (used < 2) return {};
  size_ = used / 2;
  const auto size = std::to_string(size_);
  return "out of memory with " + std::to_string(used) + " prompts at once: the batch is done again with " + size +
         ", and so are all others until the stage ends. Set prompt_chunk to " + size + " to start with it";
}

std::int64_t count_of(const std::vector<ImagePrompts>& prompts) {
  std::int64_t count = 0;
  for (const auto& image : prompts) count += image.boxes.size(0);
  return count;
}

}  // namespace cellsam::train
