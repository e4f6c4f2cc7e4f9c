// Switches a fast implementation off for the whole process, to compare it with torch's own or to rule it out as a cause.
#pragma once

#include <atomic>

#include "os/process.h"

namespace cellsam {

class Switch {
 public:
  // On, unless the environment has variable=0.
  explicit Switch(const char* variable) : on_(os::environment(variable) != "0") {}

  bool on() const { return on_; }
  void set(bool on) { on_ = on; }

 private:
  std::atomic<bool> on_;
};

}  // namespace cellsam
