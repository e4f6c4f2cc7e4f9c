// A GPU's stream beside the one that a thread works on, where a step can be recorded: the default stream cannot.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/StreamGuard.h>

#include <optional>

namespace cellsam::device {

class SideStream {
 public:
  explicit SideStream(c10::Device device);  // on the CPU nothing happens, here and below

  // While it exists, this thread's work goes to the side stream, behind what was queued on the thread's own. What comes after
  // it waits for it, so that either side may use and free the other's tensors.
  class Scope {
   public:
    explicit Scope(const SideStream& side);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::optional<c10::Stream> own_, side_;
    std::optional<c10::StreamGuard> guard_;
  };

 private:
  std::optional<c10::Stream> stream_;
};

}  // namespace cellsam::device
