#include "train/non_finite.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/isfinite.h>
#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <mutex>
#include <string_view>
#include <unordered_map>

#include "kernels/attention_kernels.h"

namespace cellsam::train {
namespace {

// The state of the callbacks. torch passes it on to autograd's threads together with the callbacks.
struct Record final : c10::DebugInfoBase {
  std::unordered_map<const void*, std::string> layers;  // by the storage of a parameter
  std::mutex mutex;
  std::string layer;
  bool backward = false;
  std::optional<NonFiniteOrigin> origin;
};

Record* current() { return static_cast<Record*>(c10::ThreadLocalDebugInfo::get(c10::DebugInfoKind::TEST_INFO_2)); }

struct Operation final : at::ObserverContext {
  bool checked = false;  // all inputs were finite, so the outputs should be
};

bool is_finite(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_floating_point() || tensor.numel() == 0) return true;
  return at::isfinite(tensor.detach()).all().item<bool>();
}

// Whether `check` is true of all tensors in `value`, which is one or a list of them.
template <class Check>
bool all_of(const c10::IValue& value, Check check) {
  if (value.isTensor()) return check(value.toTensor());
  if (!value.isTensorList()) return true;
  for (const at::Tensor& tensor : value.toTensorList()) {
    if (!check(tensor)) return false;
  }
  return true;
}

// Operations that compute nothing: their results are what the memory held before, or what the caller wants in it, such as the
// -infinity of attention masks.
bool computes_nothing(std::string_view name) {
  for (std::string_view start :
       {"aten::empty", "aten::new_empty", "aten::resize_", "aten::set_", "aten::fill", "aten::full", "aten::masked_fill"}) {
    if (name.starts_with(start)) return true;
  }
  return false;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  auto* record = current();
  if (record == nullptr) return nullptr;
  at::DisableRecordFunctionGuard not_our_own_operations;
  at::NoGradGuard no_grad;
  std::lock_guard lock(record->mutex);
  if (record->origin) return nullptr;
  if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
    record->backward = true;
    return nullptr;
  }
  auto operation = std::make_unique<Operation>();
  operation->checked = !computes_nothing(function.name());
  bool any = false;
  for (const auto& input : function.inputs()) {
    operation->checked = all_of(input,
                                [&](const at::Tensor& tensor) {
                                  if (!tensor.defined()) return true;
                                  any = true;
                                  if (tensor.has_storage()) {
                                    const auto found = record->layers.find(tensor.storage().unsafeGetStorageImpl());
                                    if (found != record->layers.end()) record->layer = found->second;
                                  }
                                  return is_finite(tensor);
                                }) &&
                         operation->checked;
  }
  operation->checked = operation->checked && any;  // a tensor that is made of no other is meant to be as it is
  return operation;
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* record = current();
  const auto* operation = static_cast<Operation*>(context);
  if (record == nullptr || operation == nullptr || !operation->checked) return;
  at::DisableRecordFunctionGuard not_our_own_operations;
  at::NoGradGuard no_grad;
  std::lock_guard lock(record->mutex);
  if (record->origin) return;
  for (const auto& output : function.outputs()) {
    if (all_of(output, is_finite)) continue;
    std::string name = function.name();
    if (const auto colon = name.rfind(':'); colon != std::string::npos) name.erase(0, colon + 1);
    record->origin = NonFiniteOrigin{record->layer, name, record->backward};
    return;
  }
}

std::string module_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

}  // namespace

struct NonFiniteTrace::Watch {
  explicit Watch(std::shared_ptr<Record> shared)
      : record(std::move(shared)),
        guard(c10::DebugInfoKind::TEST_INFO_2, record),
        callback(at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end)
                                                .needsInputs(true)
                                                .needsOutputs(true)
                                                .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}))) {}
  ~Watch() { at::removeCallback(callback); }

  std::shared_ptr<Record> record;
  c10::DebugInfoGuard guard;
  kernels::attention::Pause torch_alone;
  at::CallbackHandle callback;
};

NonFiniteTrace::NonFiniteTrace(const model::NamedTensors& parameters) {
  auto record = std::make_shared<Record>();
  for (const auto& [name, tensor] : parameters) {
    record->layers.emplace(tensor.storage().unsafeGetStorageImpl(), module_of(name));
    if (!record->origin && !is_finite(tensor)) record->origin = NonFiniteOrigin{name, "weights", false};
  }
  watch_ = std::make_unique<Watch>(std::move(record));
}

NonFiniteTrace::~NonFiniteTrace() = default;

bool NonFiniteTrace::active() { return current() != nullptr; }

std::optional<NonFiniteOrigin> NonFiniteTrace::origin() const { return watch_->record->origin; }

}  // namespace cellsam::train
