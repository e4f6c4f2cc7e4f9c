// Case 09: the three mask losses and their gradients, in float32 and float64, among them |logit| = 50.
#include "native/mask_losses.h"
#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::seg_losses_program {

namespace {

using Loss = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

// The reference adds the prompts' values for focal and Dice and takes their mean for the boundary; `loss` ends likewise.
void check_loss(test::Case& parity, const std::string& name, at::ScalarType dtype, const std::string& item, const Loss& loss) {
  const bool wide = dtype == at::kDouble;
  const auto prefix = item + (wide ? ".f64." : ".f32.") + name;
  const auto logits = parity.io(item + ".logits").to(dtype).detach().clone().requires_grad_(true);
  const auto value = loss(logits, parity.io(item + ".target").to(dtype));
  value.backward();
  parity.check(prefix, value, parity.tolerance(wide ? "f64" : "f32"));
  parity.check(prefix + ".grad", logits.grad(), parity.tolerance(wide ? "f64" : "f32 grad"));
}

}  // namespace

TEST_PROGRAM(seg_losses) {
  return test::run_case(argc, argv, [](test::Case& parity) {
    const auto& params = test::field(parity.info(), "params");
    const double alpha = test::number(params, "focal_alpha"), smooth = test::number(params, "dice_smooth");
    auto prompts = [](const at::Tensor& tensor) { return tensor.squeeze(1); };
    for (const auto& entry : test::list(parity.info(), "items")) {
      const auto item = test::as<std::string>(entry);
      for (auto dtype : {at::kFloat, at::kDouble}) {
        for (const auto& gamma : test::list(params, "gammas")) {
          const double power = test::as<double>(gamma);
          const Dict focal{{"focal_alpha", alpha}, {"focal_gamma", power}};
          check_loss(parity, "focal_g" + std::to_string(static_cast<int>(power)), dtype, item,
                     [&](const auto& z, const auto& g) { return single_loss("focal", prompts(z), prompts(g), focal).sum(); });
        }
        check_loss(parity, "dice", dtype, item, [&](const auto& z, const auto& g) {
          return single_loss("dice", prompts(z), prompts(g), {{"dice_smooth", smooth}}).sum();
        });
        check_loss(parity, "boundary", dtype, item,
                   [&](const auto& z, const auto& g) { return single_loss("boundary", prompts(z), prompts(g)).mean(); });
      }
    }
  });
}

}  // namespace cellsam::test::seg_losses_program
