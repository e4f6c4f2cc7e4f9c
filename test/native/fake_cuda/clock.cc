#include "fake_cuda/clock.h"

#include <algorithm>

namespace fake_cuda {

std::recursive_mutex& state() {
  static auto& mutex = *new std::recursive_mutex;
  return mutex;
}

bool Clock::knows(const Moment& moment) const {
  return moment.stream < 0 || ticks[static_cast<std::size_t>(moment.stream)] >= moment.tick;
}

void Clock::join(const Clock& other) {
  for (std::size_t i = 0; i < ticks.size(); ++i) ticks[i] = std::max(ticks[i], other.ticks[i]);
}

Clock& clock_of(const Stream& stream) {
  static auto& clocks = *new std::array<Clock, kStreams>{};
  return clocks[static_cast<std::size_t>(stream.number())];
}

Clock& host_clock() {
  static auto& clock = *new Clock;
  return clock;
}

Moment tick(const Stream& stream) {
  auto& clock = clock_of(stream);
  clock.join(host_clock());
  return {stream.number(), ++clock.ticks[static_cast<std::size_t>(stream.number())]};
}

}  // namespace fake_cuda
