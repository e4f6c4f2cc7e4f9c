// Every operator that has no kernel of its own here: the CPU's kernel on tensors over the shadow, with the checks, waits and
// counts of a CUDA operator.
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "fake_cuda/graphs.h"
#include "fake_cuda/host_views.h"
#include "fake_cuda/launch.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/operator_rules.h"
#include "fake_cuda/report.h"
#include "fake_cuda/settings.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

// A call as it stands on the dispatcher's stack.
struct Call {
  const c10::OperatorHandle& op;
  std::string name;
  const c10::IValue* arguments;
  std::size_t count;
};

struct Operands {
  int device = -1;  // -1: no tensor says
  std::vector<at::Tensor> reads, writes;
  bool host_indices = false;
};

[[noreturn]] void refuse_devices(const Call& call, int device, const at::Tensor& tensor) {
  TORCH_CHECK(false,
              "Expected all tensors to be on the same device, but found at least two devices, cuda:", std::max(device, 0),
              " and ", tensor.device(), "! (", call.name, ")");
}

Operands operands_of(const Call& call) {
  Operands found;
  const auto& declared = call.op.schema().arguments();
  for (std::size_t i = 0; i < call.count; ++i) {
    const auto& value = call.arguments[i];
    const auto* alias = declared[i].alias_info();
    const bool written = alias != nullptr && alias->isWrite();
    for (const auto& tensor : tensors_in(value)) {
      if (tensor.is_cuda()) {
        if (found.device >= 0 && found.device != tensor.device().index()) refuse_devices(call, found.device, tensor);
        found.device = tensor.device().index();
        (written ? found.writes : found.reads).push_back(tensor);
      } else if (!written && takes_host_indices(call.name)) {
        found.host_indices = true;
      } else if (written || tensor.dim() > 0) {
        refuse_devices(call, found.device, tensor);
      }
    }
    if (value.isDevice() && value.toDevice().is_cuda() && found.device < 0)
      found.device = value.toDevice().has_index() ? value.toDevice().index() : current_device();
  }
  if (found.device < 0) found.device = current_device();
  return found;
}

bool any_floats(const std::vector<at::Tensor>& tensors) {
  for (const auto& tensor : tensors)
    if (at::isFloatingType(tensor.scalar_type())) return true;
  return false;
}

void fail_if_asked(const std::string& name) {
  static std::atomic<std::uint64_t> calls{0};
  if (name != settings().failing_operator || ++calls != settings().failing_call) return;
  throw c10::AcceleratorError({__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)}, 719,
                              "CUDA error: unspecified launch failure (FAKE_CUDA_FAIL_OPERATOR: " + name + ")");
}

// A result with memory of its own, which a replay of a graph has to write again.
struct Result {
  std::size_t index, item;
  char* to;  // shadow
};

struct Results {
  std::vector<c10::IValue> values;
  std::vector<Result> own;
  std::vector<const void*> addresses;
};

Results results_of(const torch::jit::Stack& stack, HostViews& views, int device) {
  Results results;
  for (std::size_t i = 0; i < stack.size(); ++i) {
    std::size_t item = 0;
    results.values.push_back(with_tensors(stack[i], [&](const at::Tensor& host) -> at::Tensor {
      const auto here = item++;
      if (!host.defined()) return host;
      if (const auto* known = views.device_tensor(host)) return *known;
      bool is_new = false;
      const auto storage = views.device_storage(host, device, is_new);
      if (is_new) {
        auto* begin = storage.unsafeGetStorageImpl()->data_ptr().get();
        results.own.push_back({i, here, static_cast<char*>(shadow(begin))});
        results.addresses.push_back(begin);
      }
      return tensor_over(storage, c10::DispatchKey::CUDA, host);
    }));
  }
  return results;
}

// What a graph repeats: the operator on the same views, and its results to where they first went.
std::function<void()> repetition(const c10::OperatorHandle& op, torch::jit::Stack arguments, std::vector<Result> own) {
  return [op, arguments = std::move(arguments), own = std::move(own)] {
    auto stack = arguments;
    op.callBoxed(&stack);
    for (const auto& result : own) {
      const auto& value = stack[result.index];
      const at::Tensor tensor = value.isTensor() ? value.toTensor() : value.toTensorVector()[result.item];
      std::memcpy(result.to, tensor.storage().data(), tensor.storage().nbytes());
    }
  };
}

void run_on_cpu(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto count = op.schema().arguments().size();
  const auto first = stack->size() - count;
  const Call call{op, name_of(op), stack->data() + first, count};
  const auto operands = operands_of(call);
  const auto stream = current_stream(operands.device);
  check_deterministic(call.name, any_floats(operands.reads));
  fail_if_asked(call.name);
  if (operands.host_indices) wait_for(stream, "host indices of " + call.name);
  const bool waits = waits_for_values(call.name, call.arguments);
  if (waits && is_recording(stream)) refuse_to_record(stream, call.name);

  HostViews views;
  torch::jit::Stack arguments;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& value = call.arguments[i];
    if (value.isDevice()) {
      arguments.emplace_back(at::Device(at::kCPU));
    } else if (value.isGenerator()) {
      arguments.emplace_back();
    } else {
      arguments.push_back(views.view(value));
    }
  }
  Work work{call.name, stream, {}, {}};
  for (const auto& tensor : operands.reads) work.reads.push_back(address_of(tensor));
  for (const auto& tensor : operands.writes) work.writes.push_back(address_of(tensor));
  order(work);
  count_launch(work.name);
  save_before_writing(work);
  auto results_on_host = arguments;
  run_on_host([&] { op.callBoxed(&results_on_host); });
  if (waits) wait_for(stream, call.name);

  auto results = results_of(results_on_host, views, operands.device);
  const auto grown = views.follow_resized();
  results.addresses.insert(results.addresses.end(), grown.begin(), grown.end());
  order({call.name, stream, {}, results.addresses});
  if (is_recording(stream)) {
    work.writes.insert(work.writes.end(), results.addresses.begin(), results.addresses.end());
    record(work, repetition(op, std::move(arguments), std::move(results.own)));
  }
  torch::jit::drop(*stack, count);
  for (auto& value : results.values) stack->push_back(std::move(value));
}

}  // namespace
}  // namespace fake_cuda

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&fake_cuda::run_on_cpu>()); }

// Made of other operators on the CPU, one kernel on CUDA.
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.overload_name.find("out") != std::string::npos) continue;
    const bool foreach = name.name.rfind("aten::_foreach_", 0) == 0;
    if (!foreach && name.name != "aten::convolution" && name.name != "aten::convolution_backward") continue;
    const auto full = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
    library.impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&fake_cuda::run_on_cpu>());
  }
}
