#include "device/side_stream.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

namespace cellsam::device {
namespace {

void wait(const c10::Stream& later, const c10::Stream& earlier) {
  c10::Event event(earlier.device_type());
  event.record(earlier);
  event.block(later);
}

}  // namespace

SideStream::SideStream(c10::Device device) {
  if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

SideStream::Scope::Scope(const SideStream& side) : side_(side.stream_) {
  if (!side_) return;
  // Asked by device: the thread's current device may be another one.
  own_ = c10::impl::VirtualGuardImpl(side_->device_type()).getStream(side_->device());
  wait(*side_, *own_);
  guard_.emplace(*side_);
}

SideStream::Scope::~Scope() {
  if (!side_) return;
  guard_.reset();
  try {
    wait(*own_, *side_);
  } catch (const c10::Error&) {
    // The device has failed, and the next use of it says so where it can be caught.
  }
}

}  // namespace cellsam::device
