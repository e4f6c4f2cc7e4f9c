// Counts the objects that exist in all environments of the process, for tests of leaks.
#pragma once

#include <atomic>

namespace cellsam::binding {

struct LiveObjects {
  std::atomic<int> sessions{0};
  std::atomic<int> jobs{0};
  std::atomic<int> borrowed{0};  // typed arrays that native code uses
  std::atomic<int> lent{0};      // native buffers that JavaScript uses
};

// A static variable of a function, so that it exists for destructors that run late.
inline LiveObjects& live() {
  static LiveObjects counts;
  return counts;
}

}  // namespace cellsam::binding
