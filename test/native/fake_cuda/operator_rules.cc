#include "fake_cuda/operator_rules.h"

#include <ATen/Context.h>

#include <cstdlib>
#include <string_view>
#include <unordered_set>

#include "fake_cuda/host_views.h"

namespace fake_cuda {
namespace {

using Names = std::unordered_set<std::string>;

const Names kWaiting = {"aten::_local_scalar_dense",
                        "aten::equal",
                        "aten::nonzero",
                        "aten::nonzero.out",
                        "aten::masked_select",
                        "aten::masked_select.out",
                        "aten::_unique",
                        "aten::_unique2",
                        "aten::unique_dim",
                        "aten::unique_consecutive",
                        "aten::bincount",
                        "aten::is_nonzero",
                        "aten::linalg_inv_ex",
                        "aten::histc"};

const Names kUnordered = {"aten::upsample_linear1d_backward.grad_input",
                          "aten::upsample_bilinear2d_backward.grad_input",
                          "aten::_upsample_bilinear2d_aa_backward.grad_input",
                          "aten::upsample_bicubic2d_backward.grad_input",
                          "aten::upsample_trilinear3d_backward.grad_input",
                          "aten::upsample_nearest1d_backward.grad_input",
                          "aten::upsample_nearest2d_backward.grad_input",
                          "aten::upsample_nearest3d_backward.grad_input",
                          "aten::reflection_pad1d_backward.grad_input",
                          "aten::reflection_pad2d_backward",
                          "aten::reflection_pad2d_backward.grad_input",
                          "aten::replication_pad1d_backward.grad_input",
                          "aten::replication_pad2d_backward",
                          "aten::replication_pad2d_backward.grad_input",
                          "aten::_adaptive_avg_pool2d_backward",
                          "aten::adaptive_max_pool2d_backward.grad_input",
                          "aten::grid_sampler_2d_backward",
                          "aten::kthvalue.values",
                          "aten::median.dim_values",
                          "aten::nll_loss2d_forward",
                          "aten::nll_loss2d_backward",
                          "aten::put_",
                          "aten::histc",
                          "aten::bincount",
                          "aten::scatter_reduce.two_out"};

const Names kProducts = {"aten::mm.out",
                         "aten::addmm.out",
                         "aten::bmm.out",
                         "aten::baddbmm.out",
                         "aten::addmv.out",
                         "aten::dot",
                         "aten::_addmm_activation.out"};

const Names kIndexing = {"aten::index.Tensor", "aten::index.Tensor_out", "aten::_index_put_impl_",
                         "aten::_unsafe_index.Tensor"};

}  // namespace

std::string name_of(const c10::OperatorHandle& op) {
  const auto& name = op.operator_name();
  return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

bool waits_for_values(const std::string& name, const c10::IValue* arguments) {
  if (name == "aten::repeat_interleave.Tensor") return arguments[1].isNone();  // the size of the output
  if (takes_host_indices(name)) {
    // A mask becomes indices, but for one value to put there, which is a masked fill.
    if (name == "aten::_index_put_impl_" && arguments[2].toTensor().numel() <= 1) return false;
    for (const auto& indices : tensors_in(arguments[1]))
      if (indices.scalar_type() == at::kBool || indices.scalar_type() == at::kByte) return true;
  }
  return kWaiting.count(name) > 0;
}

bool takes_host_indices(const std::string& name) { return kIndexing.count(name) > 0; }

void check_deterministic(const std::string& name, bool floats) {
  const auto& context = at::globalContext();
  if (!context.deterministicAlgorithms()) return;
  if (kUnordered.count(name) > 0 || (name == "aten::cumsum.out" && floats)) context.alertNotDeterministic(name);
  if (kProducts.count(name) == 0) return;
  const char* value = std::getenv("CUBLAS_WORKSPACE_CONFIG");
  const std::string_view workspace = value == nullptr ? "" : value;
  TORCH_CHECK(workspace == ":4096:8" || workspace == ":16:8", name,
              ": deterministic behaviour was enabled, but CUBLAS_WORKSPACE_CONFIG is not set");
}

}  // namespace fake_cuda
