#include "dist/gradient_sum.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace cellsam::dist {

GradientSum::GradientSum(ProcessGroup& group, std::vector<at::Tensor> parameters)
    : group_(group), parameters_(std::move(parameters)) {
  std::int64_t numbers = 0;
  for (const auto& parameter : parameters_) numbers += parameter.numel();
  const auto device = parameters_.empty() ? at::Device(at::kCPU) : parameters_.front().device();
  std::string why;
  on_device_ = DeviceSum::open(group, device, why);
  if (!why.empty()) notice_ = "the processes pass gradients through main memory, since NCCL cannot be used: " + why;
  row_ = at::empty({numbers}, at::TensorOptions(at::kFloat).device(on_device_ ? device : at::kCPU));
}

void GradientSum::operator()(const at::Tensor& extra) {
  at::NoGradGuard no_grad;
  auto present = at::zeros({std::ssize(parameters_)}, at::kFloat);
  auto* counts = present.data_ptr<float>();
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& parameter = parameters_[i];
    auto own = row_.narrow(0, begin, parameter.numel());
    begin += parameter.numel();
    const auto& gradient = parameter.grad();
    counts[i] = gradient.defined() ? 1 : 0;
    if (gradient.defined()) {
      own.copy_(gradient.reshape({-1}));
    } else {
      own.zero_();
    }
  }
  const auto buckets = row_.split(kBucketBytes / static_cast<std::int64_t>(sizeof(float)));
  std::vector<at::Tensor> on_host{present, extra};
  if (!on_device_) on_host.insert(on_host.end(), buckets.begin(), buckets.end());
  group_.sum(on_host);  // first: it notices a process that is lost, for which GPUs would wait
  if (on_device_) (*on_device_)(buckets);
  begin = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    auto parameter = parameters_[i];
    const auto sum = row_.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
    if (counts[i] == 0) continue;
    if (!parameter.grad().defined()) parameter.mutable_grad() = at::empty_like(parameter);
    parameter.mutable_grad().copy_(sum);
  }
}

}  // namespace cellsam::dist
