// Case 04: mask logits to the original image, five geometries, and the gradient in float64.
#include <torch/csrc/autograd/autograd.h>

#include <array>

#include "native/postprocess_masks.h"
#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::postprocess_masks_program {

namespace {

at::Tensor resized(const Case& parity, const at::Tensor& low_res, const Value& spec) {
  const auto side = [&](const char* name, int i) { return static_cast<std::int64_t>(as<double>(list(spec, name)[i])); };
  return postprocess_masks(low_res, parity.config("img_size"), {side("input_size", 0), side("input_size", 1)},
                           {side("original_size", 0), side("original_size", 1)});
}

void postprocess_case(Case& parity) {
  int number = 0;
  for (const auto& spec : list(parity.info(), "specs")) {
    parity.check("out" + std::to_string(number++), resized(parity, parity.io("low_res"), spec), parity.tolerance("default"));
  }
  const auto low_res = parity.io("f64.low_res").requires_grad_();
  const auto out = resized(parity, low_res, field(parity.info(), "f64_spec"));
  parity.check("f64.out", out, parity.tolerance("f64"));
  out.square().mean().backward();
  parity.check("f64.grad_low_res", low_res.grad(), parity.tolerance("f64"));
}

}  // namespace

TEST_PROGRAM(postprocess_masks) { return run_case(argc, argv, postprocess_case); }

}  // namespace cellsam::test::postprocess_masks_program
