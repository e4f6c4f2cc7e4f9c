#include "dist/device_sum.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include "base/cuda_operator.h"
#include "os/process.h"

namespace cellsam::dist {
namespace {

using Open = std::int64_t(std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t);
using Sum = void(std::int64_t, at::TensorList);
using Close = void(std::int64_t);

// The host waits for each sum, and its error is an exception. By default torch would end the whole program from a thread of its
// own when a process is lost.
void prefer_exceptions() {
  os::set_default_environment("TORCH_NCCL_BLOCKING_WAIT", "1");
  os::set_default_environment("TORCH_NCCL_ENABLE_MONITORING", "0");
}

}  // namespace

DeviceSum::DeviceSum(ProcessGroup& group, const at::Device& device) : group_(group), device_(device) {
  const auto store = reinterpret_cast<std::int64_t>(&group.store());
  nccl_ = cuda_operator<Open>("nccl_open")->call(store, group.number(), group.rank(), group.size(), group.timeout().count());
}

DeviceSum::~DeviceSum() {
  const c10::DeviceGuard guard(device_);
  try {
    cuda_operator<Close>("nccl_close")->call(nccl_);
  } catch (const std::exception&) {
    // What led here has been reported.
  }
}

bool DeviceSum::works() {
  const auto one = at::ones({1}, at::TensorOptions(at::kFloat).device(device_));
  cuda_operator<Sum>("nccl_sum")->call(nccl_, {one});
  return one.item<float>() == static_cast<float>(group_.size());
}

std::unique_ptr<DeviceSum> DeviceSum::open(ProcessGroup& group, const at::Device& device, std::string& why) {
  if (group.any(!device.is_cuda() || !cuda_operator<Open>("nccl_open"))) return nullptr;
  prefer_exceptions();
  const c10::DeviceGuard guard(device);
  std::unique_ptr<DeviceSum> sum;
  try {
    sum.reset(new DeviceSum(group, device));
    if (!sum->works()) why = "its sums are wrong";
  } catch (const c10::Error& error) {
    // Such as two processes on one GPU, or a network that NCCL cannot use.
    why = error.what_without_backtrace();
  }
  if (!group.any(!why.empty())) return sum;
  if (why.empty()) why = "it fails in another process";
  return nullptr;
}

void DeviceSum::operator()(at::TensorList tensors) {
  const c10::DeviceGuard guard(device_);
  group_.guard("sum on GPUs", [&] { cuda_operator<Sum>("nccl_sum")->call(nccl_, tensors); });
}

}  // namespace cellsam::dist
