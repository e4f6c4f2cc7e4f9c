// Each thread's current device and its current stream on every device, and the host's waits.
#pragma once

#include <functional>
#include <string>

#include "fake_cuda/clock.h"

namespace fake_cuda {

int current_device();
// Opens the device's context, as cudaSetDevice does.
void set_current_device(int device);
// ... leaves that to whoever uses it, as c10's guards do when they go back.
void set_current_device_later(int device) noexcept;

Stream current_stream(int device);
void set_current_stream(const Stream& stream);
Stream next_stream_of_pool(int device);

// The device is current, while one works there.
class OnDevice {
 public:
  explicit OnDevice(int device) : before_(current_device()) { set_current_device_later(device); }
  ~OnDevice() { set_current_device_later(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_;
};

// The host waits for all that was started on the stream: a counted wait, which a recording refuses. `why` goes into the report.
void wait_for(const Stream& stream, const std::string& why);

// The host has learnt that all this has happened: copies that were under way have landed.
void host_learns(const Clock& clock);

// A copy between pinned memory [begin, begin + size) and the device, begun at `start`: `land` runs when the host has waited for
// it, which until then may neither change, read nor free that memory.
void start_transfer(const Moment& start, const void* begin, std::size_t size, std::function<void()> land);
bool is_in_transfer(const void* begin, std::size_t size);

}  // namespace fake_cuda
