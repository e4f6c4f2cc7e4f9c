// What torch's ProcessGroupGloo.hpp has to see of Gloo (https://github.com/pytorch/gloo, BSD-3-Clause), whose headers libtorch
// does not ship. torch's header keeps pointers to these classes and implements `rendezvous::Store`; all code is in libtorch.
#pragma once

#include <chrono>
#include <memory>

#include "gloo/transport/device.h"

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
