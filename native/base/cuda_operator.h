// How a family finds a kernel of libcellsam_cuda: by name and signature, through torch's dispatcher, so that no header is
// shared and a trace of a step sees it like any other operator.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

namespace cellsam {

// The operator `cellsam_cuda::NAME`, or nothing where the library is not loaded.
template <class Signature>
std::optional<c10::TypedOperatorHandle<Signature>> cuda_operator(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({std::string("cellsam_cuda::") + name, ""});
  if (!found) return std::nullopt;
  return found->template typed<Signature>();
}

}  // namespace cellsam
