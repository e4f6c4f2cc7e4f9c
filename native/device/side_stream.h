// A second stream of a GPU besides the one that a thread uses. A CUDA
// graph is recorded there, as the default stream cannot record.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/StreamGuard.h>

#include <optional>

namespace cellsam::device {

class SideStream {
 public:
  explicit SideStream(c10::Device device);  // on the CPU this class does nothing

  // While it exists, the work of this thread goes to the side stream, after what the thread's own stream has queued already.
  // The own stream then waits for it, so that tensors of either may be used and freed on both.
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
