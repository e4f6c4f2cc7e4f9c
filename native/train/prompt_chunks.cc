#include "train/prompt_chunks.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace cellsam::train {
namespace {

// On a CPU a few prompts at once are fastest: what their steps hand on stays in the caches.
constexpr std::int64_t kHostBudget = std::int64_t{512} << 20;
constexpr std::int64_t kDeviceBudget = std::int64_t{4} << 30;

}  // namespace

PromptChunks::PromptChunks(std::int64_t size, at::Device device, std::int64_t bytes) : device_(device), size_(size) {
  if (size_ == 0) size_ = std::max<std::int64_t>(1, (device.is_cpu() ? kHostBudget : kDeviceBudget) / bytes);
}

std::vector<std::vector<ImagePrompts>> PromptChunks::split(const std::vector<ImagePrompts>& prompts, bool per_image) const {
  std::vector<std::vector<ImagePrompts>> chunks;
  std::int64_t room = 0;
  for (const auto& image : prompts) {
    const auto n = image.boxes.size(0);
    if (per_image) room = 0;
    for (std::int64_t begin = 0, length = 0; begin < n; begin += length) {
      if (room == 0) {
        chunks.emplace_back();
        room = size_;
      }
      length = std::min(room, n - begin);
      chunks.back().push_back({image.image, image.boxes.narrow(0, begin, length), image.ids.narrow(0, begin, length)});
      room -= length;
    }
  }
  return chunks;
}

std::string PromptChunks::halve(const std::vector<ImagePrompts>& prompts) {
  const auto used = std::min(size_, count_of(prompts));
  if (used < 2) return {};
  size_ = used / 2;
  const auto half = std::to_string(size_);
  return "out of memory with " + std::to_string(used) + " prompts at once: the batch is done again with " + half +
         ", and so are all others until the stage ends. Set prompt_chunk to " + half + " to start with it";
}

std::int64_t count_of(const std::vector<ImagePrompts>& prompts) {
  std::int64_t count = 0;
  for (const auto& image : prompts) count += image.boxes.size(0);
  return count;
}

}  // namespace cellsam::train
