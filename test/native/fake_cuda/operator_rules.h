// What torch's CUDA kernels do that its CPU kernels do not: wait for the host, and refuse to be repeatable.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>

namespace fake_cuda {

std::string name_of(const c10::OperatorHandle& op);  // "aten::add.Tensor"

// Whether the operator's result depends on values, so that it waits for them. `arguments`: the first of them on the stack.
bool waits_for_values(const std::string& name, const c10::IValue* arguments);

// Whether the operator takes indices in host memory to a tensor on the device, with a copy that waits.
bool takes_host_indices(const std::string& name);

// Throws in deterministic mode what CUDA does: for kernels that add in any order, and for products without cuBLAS's workspace.
void check_deterministic(const std::string& name, bool floats);

}  // namespace fake_cuda
