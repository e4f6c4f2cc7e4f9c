// Counts of what the binding holds for JavaScript, over all environments of the process. Leak tests want to see them at zero.
#pragma once

#include <atomic>

namespace cellsam::binding {

struct LiveObjects {
  std::atomic<int> sessions{0};
  std::atomic<int> jobs{0};
  std::atomic<int> borrowed{0};  // typed arrays of JS in native hands
  std::atomic<int> lent{0};      // native memory in the hands of JS
};

// Function-local, so that its address is good in destructors that run late.
inline LiveObjects& live() {
  static LiveObjects counts;
  return counts;
}

}  // namespace cellsam::binding
