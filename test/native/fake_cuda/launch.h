// The one gate that all work for the device goes through.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fake_cuda/clock.h"

namespace fake_cuda {

// One operator, copy or kernel, and the device addresses that it reads and writes: any address of a block stands for all of it.
struct Work {
  std::string name;
  Stream stream;
  std::vector<const void*> reads, writes;
};

// Gives the work its place on its stream: a hazard where it reads or overwrites what another stream may not have finished.
Moment order(const Work& work);

// Counts and orders the work, then runs it; while its stream records a graph, keeps it for the replays as well.
Moment launch(const Work& work, const std::function<void()>& body);

// Below autograd and autocast, and unseen by torch's profilers: as inside a kernel.
void run_on_host(const std::function<void()>& body);

}  // namespace fake_cuda
