// native/cuda/launch.h for the pretend device: the kernels of native/cuda/*_kernels.cu as host loops.
#include "cuda/launch.h"

#include <initializer_list>
#include <string>

#include "fake_cuda/launch.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"
#include "fake_cuda/streams.h"
#include "native/kernel_loops.h"

namespace cellsam::cuda {
namespace {

using fake_cuda::shadow;
using test::ThreadOrder;

fake_cuda::Stream stream_of(void* cuda_stream) {
  const auto number = static_cast<int>(reinterpret_cast<std::intptr_t>(cuda_stream));
  return {number / fake_cuda::kDeviceStreams, number % fake_cuda::kDeviceStreams};
}

MaskLossArguments on_shadow(MaskLossArguments a) {
  for (auto** numbers : {&a.logits, &a.rows.weight, &a.columns.weight}) *numbers = shadow(*numbers);
  for (auto** numbers :
       {&a.labels, &a.ids, &a.rows.first, &a.rows.begin, &a.rows.start, &a.columns.first, &a.columns.begin, &a.columns.start})
    *numbers = shadow(*numbers);
  for (auto** numbers : {&a.partial, &a.adjoint, &a.results, &a.coefficients, &a.total_gradient}) *numbers = shadow(*numbers);
  return a;
}

RowColumnArguments on_shadow(RowColumnArguments a) {
  for (auto* axis : {&a.across, &a.down}) {
    for (auto* elements : {&axis->query, &axis->key, &axis->query_grad, &axis->key_grad})
      elements->data = shadow(elements->data);
    axis->hidden = shadow(axis->hidden);
    axis->weight = shadow(axis->weight);
    axis->weight_grad = shadow(axis->weight_grad);
  }
  for (auto* elements : {&a.value, &a.out, &a.value_grad}) elements->data = shadow(elements->data);
  return a;
}

std::vector<const void*> inputs(const RowColumnArguments& a) {
  return {a.across.query.data, a.down.query.data, a.across.key.data, a.down.key.data,
          a.value.data,        a.across.hidden,   a.down.hidden};
}

// Whether the current device can run this kernel, which a product should ask once.
bool can_run(const std::string& kernel) {
  fake_cuda::note("asked whether cuda:" + std::to_string(fake_cuda::current_device()) + " can run " + kernel);
  return fake_cuda::settings().kernels;
}

}  // namespace

bool can_run_mask_losses() { return can_run("mask_losses"); }

void launch_mask_losses(const MaskLossArguments& a, void* stream) {
  fake_cuda::launch({"cellsam_cuda::mask_losses",
                     stream_of(stream),
                     {a.logits, a.labels, a.ids, a.rows.first, a.rows.weight, a.columns.first, a.columns.weight},
                     {a.partial, a.adjoint, a.results, a.coefficients, a.total_gradient}},
                    [a = on_shadow(a)] { test::loop_mask_losses(a, ThreadOrder::forwards); });
}

// As a GPU of compute capability 8.6 or 8.9 has it.
std::size_t prepare_row_column() { return can_run("row_column") ? 99 * 1024 : 0; }

void launch_row_column(const RowColumnArguments& a, void* stream) {
  fake_cuda::launch({"cellsam_cuda::row_column", stream_of(stream), inputs(a), {a.out.data}},
                    [a = on_shadow(a)] { test::loop_row_column(a, ThreadOrder::forwards); });
}

void launch_row_column_backward(const RowColumnArguments& a, void* stream) {
  auto reads = inputs(a);
  reads.push_back(a.out.data);
  fake_cuda::launch({"cellsam_cuda::row_column_backward",
                     stream_of(stream),
                     reads,
                     {a.across.query_grad.data, a.down.query_grad.data, a.across.key_grad.data, a.down.key_grad.data,
                      a.value_grad.data, a.across.weight, a.across.weight_grad, a.down.weight, a.down.weight_grad}},
                    [a = on_shadow(a)] { test::loop_row_column_backward(a, ThreadOrder::forwards); });
}

}  // namespace cellsam::cuda
