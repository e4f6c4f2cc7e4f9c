// The operator cellsam_cuda::mask_losses: checks tensors, keeps the tables of sizes it has met on the device, and starts the
// kernels on the current stream.
#include "cuda/mask_losses.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <torch/library.h>

#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "base/upload.h"
#include "cuda/launch.h"
#include "cuda/per_device.h"

namespace cellsam::cuda {
namespace {

constexpr std::size_t kSharedLimit = 48 * 1024;  // what every GPU gives a block unasked

struct DeviceResizeTable {
  ResizeTable host;
  at::Tensor whole, weight;  // i32 [full + low + low + 1], f32 [full,taps]

  ResizeView view() const {
    const auto* numbers = whole.const_data_ptr<int>();
    return {host.low,
            host.full,
            host.taps,
            numbers,
            weight.const_data_ptr<float>(),
            numbers + host.full,
            numbers + host.full + host.low};
  }
};

// A training meets one or two sizes. Never freed: at the end of the process CUDA may be gone before this library.
const DeviceResizeTable& table_for(int low, int canvas, int full, at::Device device) {
  static auto& known = *new std::map<std::tuple<int, int, int, int>, DeviceResizeTable>;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const std::tuple key(low, canvas, full, static_cast<int>(device.index()));
  if (const auto found = known.find(key); found != known.end()) return found->second;
  DeviceResizeTable axis{make_resize_table(low, canvas, full), {}, {}};
  std::vector<int> whole = axis.host.first;
  whole.insert(whole.end(), axis.host.begin.begin(), axis.host.begin.end());
  whole.insert(whole.end(), axis.host.start.begin(), axis.host.start.end());
  axis.whole = upload(at::tensor(whole, at::kInt), device);
  axis.weight = upload(at::tensor(axis.host.weight, at::kFloat), device);
  // Another session may read the tables on a stream of its own.
  c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
  return known.emplace(key, std::move(axis)).first->second;
}

// See kMaskLossUsableSchema.
bool mask_losses_usable(std::int64_t device) {
  static PerDevice<bool> usable;
  return usable.get(device, can_run_mask_losses);
}

// See kMaskLossSchema.
std::tuple<at::Tensor, at::Tensor> mask_losses(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& ids,
                                               std::int64_t canvas, std::optional<std::int64_t> ignored,
                                               at::ArrayRef<double> weights, double mask_logit, bool gradient) {
  TORCH_CHECK(logits.dim() == 3 && logits.scalar_type() == at::kFloat, "mask_losses: logits must be float32 [N,h,w]");
  TORCH_CHECK(labels.dim() == 2 && labels.scalar_type() == at::kInt, "mask_losses: labels must be int32 [H,W]");
  const auto n = logits.size(0);
  TORCH_CHECK(ids.dim() == 1 && ids.size(0) == n && ids.scalar_type() == at::kInt, "mask_losses: ids must be int32 [N]");
  TORCH_CHECK(labels.device() == logits.device() && ids.device() == logits.device(),
              "mask_losses: all tensors must be on one device");
  TORCH_CHECK(weights.size() == 6, "mask_losses: six weights are needed");
  const auto device = logits.device();
  const at::DeviceGuard guard(device);
  const auto dense_logits = logits.contiguous(), map = labels.contiguous(), numbers = ids.contiguous();
  auto results = at::empty({n, kMaskResults}, logits.options());
  auto total = at::empty(gradient ? logits.sizes() : at::IntArrayRef{0}, logits.options());
  if (n == 0) return {results, total};

  const auto side = [](std::int64_t length) { return static_cast<int>(length); };
  const auto& down = table_for(side(logits.size(1)), side(canvas), side(labels.size(0)), device);
  const auto& across = table_for(side(logits.size(2)), side(canvas), side(labels.size(1)), device);
  MaskLossArguments a;
  TORCH_CHECK(plan_tiles(a, down.host, across.host, kSharedLimit), "mask_losses: label maps of ", labels.sizes(),
              " are too large for logits of ", logits.sizes());
  const auto weight = [&](std::size_t i) { return static_cast<float>(weights[i]); };
  a.logits = dense_logits.const_data_ptr<float>();
  a.labels = map.const_data_ptr<int>();
  a.ids = numbers.const_data_ptr<int>();
  a.ignores = ignored.has_value();
  a.ignored = static_cast<int>(ignored.value_or(0));
  a.rows = down.view();
  a.columns = across.view();
  a.weights = {weight(0), weight(1), weight(2), weight(3), weight(4), weight(5)};
  a.mask_logit = static_cast<float>(mask_logit);
  a.prompts = side(n);
  a.gradient = gradient;
  auto partial = at::empty({n, a.tiles_down * a.tiles_across, kMaskSums}, logits.options());
  auto coefficients = at::empty({n, kMaskAdjoints}, logits.options());
  auto adjoint = at::empty({gradient ? kMaskAdjoints : 0, n, logits.size(1), logits.size(2)}, logits.options());
  a.partial = partial.data_ptr<float>();
  a.adjoint = adjoint.data_ptr<float>();
  a.results = results.data_ptr<float>();
  a.coefficients = coefficients.data_ptr<float>();
  a.total_gradient = total.data_ptr<float>();
  launch_mask_losses(a, c10::cuda::getCurrentCUDAStream(device.index()).stream());
  const auto error = cudaGetLastError();
  TORCH_CHECK(error == cudaSuccess, "mask_losses: ", cudaGetErrorString(error));
  return {results, total};
}

}  // namespace
}  // namespace cellsam::cuda

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def(cellsam::cuda::kMaskLossSchema);
  library.def(cellsam::cuda::kMaskLossUsableSchema, TORCH_FN(cellsam::cuda::mask_losses_usable));
}

TORCH_LIBRARY_IMPL(cellsam_cuda, CUDA, library) { library.impl("mask_losses", TORCH_FN(cellsam::cuda::mask_losses)); }
