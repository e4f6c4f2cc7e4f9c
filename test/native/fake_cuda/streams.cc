#include "fake_cuda/streams.h"

#include <c10/util/Exception.h>

#include <array>
#include <deque>

#include "fake_cuda/graphs.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"

namespace fake_cuda {
namespace {

constexpr int kPool = 32;  // streams that c10 hands out in turn

thread_local int device_now = 0;
thread_local std::array<int, kDevices> stream_now{};

struct Transfer {
  Moment start;
  const char* begin;
  std::size_t size;
  std::function<void()> land;
};

std::deque<Transfer>& transfers() {
  static auto& all = *new std::deque<Transfer>;
  return all;
}

}  // namespace

int current_device() { return device_now; }

void set_current_device(int device) {
  TORCH_CHECK(device >= 0 && device < settings().devices, "CUDA error: invalid device ordinal");
  open_context(device);
  device_now = device;
}

void set_current_device_later(int device) noexcept { device_now = device; }

Stream current_stream(int device) { return {device, stream_now[static_cast<std::size_t>(device)]}; }

void set_current_stream(const Stream& stream) { stream_now[static_cast<std::size_t>(stream.device)] = stream.id; }

Stream next_stream_of_pool(int device) {
  const Locked lock(state());
  static std::array<int, kDevices> next{};
  return {device, 1 + next[static_cast<std::size_t>(device)]++ % kPool};
}

void wait_for(const Stream& stream, const std::string& why) {
  if (is_recording(stream)) refuse_to_record(stream, why);
  count_wait(why);
  const Locked lock(state());
  host_learns(Clock(clock_of(stream)));
}

void host_learns(const Clock& clock) {
  const Locked lock(state());
  host_clock().join(clock);
  for (auto it = transfers().begin(); it != transfers().end();) {
    if (!clock.knows(it->start)) {
      ++it;
      continue;
    }
    const auto land = std::move(it->land);
    it = transfers().erase(it);
    land();
  }
}

void start_transfer(const Moment& start, const void* begin, std::size_t size, std::function<void()> land) {
  const Locked lock(state());
  transfers().push_back({start, static_cast<const char*>(begin), size, std::move(land)});
}

bool is_in_transfer(const void* begin, std::size_t size) {
  const Locked lock(state());
  const auto* from = static_cast<const char*>(begin);
  for (const auto& t : transfers())
    if (t.begin < from + size && from < t.begin + t.size) return true;
  return false;
}

}  // namespace fake_cuda
