// What is found out about each GPU once.
#pragma once

#include <c10/core/DeviceGuard.h>

#include <map>
#include <mutex>

namespace cellsam::cuda {

template <class Answer>
class PerDevice {
 public:
  // The answer of `ask`, which is called with the device current the first time that one is asked about. For any thread.
  template <class Ask>
  Answer get(std::int64_t index, Ask ask) {
    std::lock_guard lock(mutex_);
    if (const auto found = known_.find(index); found != known_.end()) return found->second;
    const c10::DeviceGuard current({at::kCUDA, static_cast<c10::DeviceIndex>(index)});
    return known_.emplace(index, ask()).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, Answer> known_;
};

}  // namespace cellsam::cuda
