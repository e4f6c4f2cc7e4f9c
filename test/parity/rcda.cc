// Parity case 06b: row-column attention alone, on tall, wide and square maps, with and without padding,
// by our kernels and by ATen.
#include "model/rcda.h"

#include "kernels/attention_kernels.h"
#include "native/program.h"
#include "parity/network.h"

namespace cellsam::test::rcda_program {

namespace {

void compare_once(Case& parity) {
  const auto plain = parity.tolerance("default"), grad = parity.tolerance("grad");
  model::RowColumnDecoupledAttention net(parity.config("embed_dim"), parity.config("heads"));
  load(*net, parity.weights());
  const std::vector<std::string> inputs = {"query_row", "query_col", "key_row", "key_col", "value"};
  const std::string ending = ".query_row";
  for (const auto& name : parity.names("")) {  // the case names its shapes: tall, wide, square
    const bool starts_shape = name.size() > ending.size() && name.ends_with(ending) && name.find(".grad.") == std::string::npos;
    if (!starts_shape) continue;
    const auto shape = name.substr(0, name.size() - ending.size()) + ".";
    std::map<std::string, at::Tensor> x;
    for (const auto& input : inputs) x[input] = parity.io(shape + input).clone().requires_grad_(true);
    const auto attend = [&](const std::optional<at::Tensor>& mask, model::Activations* activations) {
      return net->forward(x["query_row"], x["query_col"], x["key_row"], x["key_col"], x["value"], mask, activations)
          .transpose(0, 1);
    };

    zero_gradients(*net);
    model::Activations activations;
    const auto out = attend(parity.io(shape + "mask").to(at::kBool), &activations);
    parity.check(shape + "out_lne", out, plain);
    parity.check(shape + "attn_weights", activations.at(0).second.transpose(0, 1), plain);
    parity.check(shape + "nomask.out_lne", attend(std::nullopt, nullptr), plain);
    const auto loss = out.square().mean();
    parity.check(shape + "loss", loss, plain);
    loss.backward();
    check_gradients(parity, *net, shape + "grad.", grad);
    for (const auto& input : inputs) parity.check(shape + "grad." + input, x[input].grad(), grad);
  }
}

void compare(Case& parity) {
  for (const bool fused : {true, false}) {
    kernels::attention::set_enabled(fused);
    compare_once(parity);
  }
}

}  // namespace

TEST_PROGRAM(rcda) { return run_case(argc, argv, compare); }

}  // namespace cellsam::test::rcda_program
