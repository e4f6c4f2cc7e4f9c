// Divides the prompts of a batch into chunks that the decoder takes at
// once, and into smaller ones when the memory does not suffice.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/stop_if_abandoned.h"
#include "device/device.h"
#include "device/device_memory.h"
#include "train/prompt_sampling.h"
#include "train/stage.h"

namespace cellsam::train {

class PromptChunks {
 public:
  // size: prompts of a chunk; 0: as many as fit a fixed budget of memory at `bytes` each. The budget does not depend on the
  // machine, so that results do not either.
  PromptChunks(std::int64_t size, at::Device device, std::int64_t bytes);

  // Calls `begin`, then `body` with each chunk: parts of images in their order, with per_image of one image each. When a device
  // or the host is out of memory, it starts over with chunks of half the size, which stay so, and calls `notice` with a message
  // for the user. Rethrows the error when even a single prompt is too much.
  template <class Begin, class Body, class Notice>
  void for_each(const std::vector<ImagePrompts>& prompts, bool per_image, const Control& control, Begin begin, Body body,
                Notice notice) {
    for (;;) {
      std::string message;
      try {
        begin();
        for (const auto& chunk : split(prompts, per_image)) {
          stop_if_abandoned(control);
          body(chunk);
        }
        return;
      } catch (const c10::Error& error) {
        if (!device::is_out_of_memory(error)) throw;
        message = halve(prompts);
        if (message.empty()) throw;
      }
      notice(std::move(message));
      device::empty_cache(device_);  // after the catch: what was computed is freed by then
    }
  }

  std::vector<std::vector<ImagePrompts>> split(const std::vector<ImagePrompts>& prompts, bool per_image) const;
  std::int64_t size() const { return size_; }  // of a chunk, at most

 private:
  std::string halve(const std::vector<ImagePrompts>& prompts);  // empty: a single prompt cannot be halved

  at::Device device_;
  std::int64_t size_;
};

std::int64_t count_of(const std::vector<ImagePrompts>& prompts);

}  // namespace cellsam::train
