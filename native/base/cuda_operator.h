// Finds an operator of libcellsam_cuda by name and signature through torch's dispatcher. So the engine shares no header with
// that library, and a trace of a step shows the operator like any other.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

namespace cellsam {

// The operator `cellsam_cuda::NAME`; empty when the library is not loaded.
template <class Signature>
std::optional<c10::TypedOperatorHandle<Signature>> cuda_operator(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({std::string("cellsam_cuda::") + name, ""});
  if (!found) return std::nullopt;
  return found->template typed<Signature>();
}

}  // namespace cellsam
