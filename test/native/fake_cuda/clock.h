// What has happened before what: every stream counts what is started on it, and a clock says how far each stream had come when
// something was known (a vector clock). The host has a clock too: what it has waited for.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>

namespace fake_cuda {

constexpr int kDevices = 2, kDeviceStreams = 33;  // stream 0 of a device is its default one
constexpr int kStreams = kDevices * kDeviceStreams;

// Guards all that this library knows. Kernels run outside of it.
std::recursive_mutex& state();
using Locked = std::lock_guard<std::recursive_mutex>;

struct Stream {
  int device = 0, id = 0;

  int number() const { return device * kDeviceStreams + id; }
  std::string name() const { return "stream " + std::to_string(id) + " of cuda:" + std::to_string(device); }
};

struct Moment {
  int stream = -1;  // its number; -1: before everything
  std::uint64_t tick = 0;
};

struct Clock {
  std::array<std::uint64_t, kStreams> ticks{};

  bool knows(const Moment& moment) const;
  void join(const Clock& other);
};

Clock& clock_of(const Stream& stream);
Clock& host_clock();

// The next thing on a stream, which comes after all that the host has waited for.
Moment tick(const Stream& stream);

}  // namespace fake_cuda
