// c10's way to devices, streams and events. Where the real one sets the current device and goes back, so does this: that opens
// contexts.
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/graphs.h"
#include "fake_cuda/register.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

struct Event {
  Clock clock;
  GraphNumber graph = 0;  // whose recording it is part of
};

Event& event_of(void* event) { return *static_cast<Event*>(event); }

Stream stream_of(const c10::Stream& stream) { return {stream.device_index(), static_cast<int>(stream.id())}; }

at::Device device_of(int index) { return {at::kCUDA, static_cast<c10::DeviceIndex>(index)}; }

c10::Stream c10_stream(const Stream& stream) { return c10::Stream(c10::Stream::UNSAFE, device_of(stream.device), stream.id); }

int index_of(const at::Device& device) { return device.has_index() ? device.index() : current_device(); }

// There and back with cudaSetDevice.
class Visit {
 public:
  explicit Visit(int device) : before_(current_device()) { set_current_device(device); }
  ~Visit() { set_current_device(before_); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  int before_;
};

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return at::kCUDA; }

  c10::Device exchangeDevice(c10::Device device) const override {
    const auto before = current_device();
    setDevice(device);
    return device_of(before);
  }
  c10::Device getDevice() const override { return device_of(current_device()); }
  void setDevice(c10::Device device) const override {
    if (device.has_index() && device.index() != current_device()) set_current_device(device.index());
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.has_index()) set_current_device_later(device.index());
  }
  c10::DeviceIndex deviceCount() const noexcept override { return static_cast<c10::DeviceIndex>(settings().devices); }

  c10::Stream getStream(c10::Device device) const override { return c10_stream(current_stream(index_of(device))); }
  c10::Stream getDefaultStream(c10::Device device) const override { return c10_stream({index_of(device), 0}); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return c10_stream(next_stream_of_pool(index_of(device)));
  }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStreamFromGlobalPool(device, false); }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    const auto before = current_stream(stream.device_index());
    set_current_stream(stream_of(stream));
    return c10_stream(before);
  }
  void* getStreamNativeHandle(const c10::Stream stream) const override {
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(stream_of(stream).number()));
  }
  bool queryStream(const c10::Stream& stream) const override {
    const Locked lock(state());
    host_learns(Clock(clock_of(stream_of(stream))));
    return true;
  }
  void synchronizeStream(const c10::Stream& stream) const override { wait_for(stream_of(stream), "synchronizeStream"); }
  bool isStreamCapturing(const c10::Stream& stream) const override { return is_recording(stream_of(stream)); }
  void synchronizeDevice(c10::DeviceIndex device) const override {
    for (int id = 0; id < kDeviceStreams; ++id)
      if (is_recording({device, id})) refuse_to_record({device, id}, "synchronizeDevice");
    count_wait("synchronizeDevice");
    const Locked lock(state());
    for (int id = 0; id < kDeviceStreams; ++id) host_learns(Clock(clock_of({device, id})));
  }
  void recordDataPtrOnStream(const c10::DataPtr& memory, const c10::Stream& stream) const override {
    device_allocator().recordStream(memory, stream);
  }

  void record(void** event, const c10::Stream& on, c10::DeviceIndex, c10::EventFlag) const override {
    const Visit visit(on.device_index());
    const Locked lock(state());
    if (*event == nullptr) *event = new Event;
    count(&Counts::events);
    event_of(*event) = {clock_of(stream_of(on)), graph_on(stream_of(on))};
  }
  void block(void* event, const c10::Stream& on) const override {
    if (event == nullptr) return;
    const Visit visit(on.device_index());
    const Locked lock(state());
    const auto stream = stream_of(on);
    if (graph_on(stream) != event_of(event).graph) {
      if (is_recording(stream)) refuse_to_record(stream, "cudaStreamWaitEvent: an event from outside of the recording");
      hazard("a stream waits for an event of a recording and would become part of it, which this device cannot follow");
    }
    clock_of(stream).join(event_of(event).clock);
  }
  bool queryEvent(void* event) const override {
    if (event != nullptr) host_learns(event_of(event).clock);
    return true;
  }
  void synchronizeEvent(void* event) const override {
    if (event == nullptr) return;
    open_context(current_device());
    for (int d = 0; d < settings().devices; ++d)
      if (is_recording(current_stream(d))) refuse_to_record(current_stream(d), "cudaEventSynchronize");
    count(&Counts::event_waits);
    host_learns(event_of(event).clock);
  }
  void destroyEvent(void* event, c10::DeviceIndex device) const noexcept override {
    if (event != nullptr && device >= 0) open_context(device), open_context(current_device());
    delete static_cast<Event*>(event);
  }
};

}  // namespace

void register_guard() { c10::impl::registerDeviceGuard(at::kCUDA, new Guard); }

}  // namespace fake_cuda
