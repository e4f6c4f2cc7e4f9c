// Takes the prompts of a batch through the decoder a few at a time, whichever images they belong to or image by image, and
// fewer where the memory does not hold them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "device/device.h"
#include "device/device_memory.h"
#include "train/prompt_sampling.h"
#include "train/stage.h"

namespace cellsam::train {

class PromptChunks {
 public:
  // `size` prompts at once, or as many as a fixed budget of the device's memory holds at `bytes` each when it is 0: the same
  // on every machine with such a device, so that results are too.
  PromptChunks(std::int64_t size, at::Device device, std::int64_t bytes);

  // Calls `begin` and then `body` with each chunk: parts of images, in their order, or of one image if `per_image`. When
  // the memory does not hold a chunk, it starts over with chunks of half the size, which are kept from then on; what there is
  // to tell about it goes to `notice`. A single prompt that is too much is the caller's error.
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
