// Rules of the models that no parity case shows: the SAM in use, sharing, checked sizes, initial weights, bfloat16 autocast.
// Prints the lines that a parity program prints.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <cmath>
#include <cstdio>
#include <set>

#include "model/cellsam.h"
#include "model/mlp.h"
#include "native/program.h"

namespace cellsam::test::model_rules_program {

namespace cellsam {
namespace {

int compared = 0;
int failed = 0;

void check(const std::string& name, bool ok) {
  std::printf("{\"name\":\"%s\",\"max_error\":%d,\"limit\":0,\"ok\":%s}\n", name.c_str(), ok ? 0 : 1, ok ? "true" : "false");
  ++compared;
  failed += ok ? 0 : 1;
}

void check_refused(const std::string& name, const std::string& size, const Value& overrides, const std::string& part) {
  try {
    model::model_size(size, overrides);
    check(name, false);
  } catch (const Error& error) {
    check(name, error.code == "ERR_INVALID_ARGUMENT" && std::string(error.what()).find(part) != std::string::npos);
  }
}

at::Tensor entry(const model::NamedTensors& state, const std::string& name) {
  for (const auto& [key, tensor] : state) {
    if (key == name) return tensor;
  }
  throw std::runtime_error("no entry " + name);
}

bool equal(const model::NamedTensors& a, const model::NamedTensors& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].first == b[i].first && a[i].second.equal(b[i].second);
  return same;
}

void check_sizes() {
  check_refused("an unknown size lists the known ones", "vit_x", {}, "vit_b, vit_l, vit_h, tiny");
  check_refused("an unknown field is named", "tiny", Dict{{"embed_dims", 96}}, "embed_dims");
  check_refused("a field of another type is named", "tiny", Dict{{"depth", "3"}}, "depth");
  check_refused("a width that heads do not divide", "tiny", Dict{{"embed_dim", 97}}, "embed_dim");
  check_refused("an image that patches do not divide", "tiny", Dict{{"image_size", 100}}, "image_size");
  check_refused("a global block that is not there", "vit_b", Dict{{"depth", 6}}, "global_blocks");
  check_refused("anchors that form no square grid", "tiny", Dict{{"num_queries", 99}}, "num_queries");
  check_refused("a width without 32 groups", "tiny", Dict{{"detector_dim", 40}}, "detector_dim");
  check_refused("a depth of zero", "tiny", Dict{{"depth", 0}}, "depth");
  for (const auto& size : model::model_sizes()) {
    const auto again = model::model_size("vit_b", model::describe(size));
    const auto first = model::describe(size), second = model::describe(again);
    bool same = first.size() == 30 && first.size() == second.size();
    for (const auto& [name, value] : first) {
      const auto* number = value.as<double>();
      if (number != nullptr) same = same && *second.at(name).as<double>() == *number;
    }
    check(size.name + " described and read back", same && again.global_blocks == size.global_blocks && again.name == size.name);
  }
}

void check_sharing(model::CellSam& net) {
  check("without model_cp the mask model is model", net->mask_model().get() == net->model.get());
  const auto parameters = net->unique_parameters();
  std::set<const void*> tensors;
  for (const auto& [name, tensor] : parameters) tensors.insert(tensor.unsafeGetTensorImpl());
  check("every parameter once", tensors.size() == parameters.size());
  // Each decoder layer but the first names the two tensors of the class head and the six of the box head again; one is a
  // buffer.
  const auto layers = static_cast<std::size_t>(net->size().decoder_layers);
  check("the state names the shared heads for every layer",
        net->state_dict().size() == parameters.size() + 8 * (layers - 1) + 1);
  {
    at::NoGradGuard no_grad;
    const auto state = net->state_dict();
    entry(state, "cellfinder.decode_head.transformer.class_embed.2.bias")[0] = 0.25;
    check("the last name writes the same head",
          entry(state, "cellfinder.decode_head.transformer.class_embed.0.bias")[0].item<double>() == 0.25);
  }

  net->model->image_encoder->parameters()[0].requires_grad_(false);
  net->add_model_cp();
  check("with model_cp the mask model is model_cp", net->mask_model().get() == net->model_cp.get());
  check("model_cp equals model", equal(model::state_dict(*net->model), model::state_dict(*net->model_cp)));
  check("model_cp is frozen where model is", !net->model_cp->image_encoder->parameters()[0].requires_grad() &&
                                                 net->model_cp->image_encoder->parameters()[1].requires_grad());
  {
    at::NoGradGuard no_grad;
    net->model_cp->parameters()[0].add_(1);
  }
  check("model_cp has weights of its own", !equal(model::state_dict(*net->model), model::state_dict(*net->model_cp)));
}

void check_initial_weights(const model::ModelSize& tiny) {
  const auto build = [&](std::uint64_t seed) {
    at::manual_seed(seed);
    return model::CellSam(tiny, true);
  };
  const auto first = build(7)->state_dict();
  check("the same seed gives the same weights", equal(first, build(7)->state_dict()));
  check("another seed gives others", !equal(first, build(8)->state_dict()));

  const auto attention = entry(first, "cellfinder.decode_head.transformer.decoder_layers.1.cross_attn.in_proj_weight").chunk(5);
  const auto identity = at::eye(tiny.detector_dim) * tiny.local_attention_gain * tiny.local_attention_gain;
  check("query and key of a row start equal", attention[0].equal(attention[2]));
  check("query and key of a column start equal", attention[1].equal(attention[3]) && !attention[0].equal(attention[1]));
  check("and orthogonal", at::allclose(attention[0].matmul(attention[0].t()), identity, 1e-4, 1e-4));
  const auto anchors = entry(first, "cellfinder.decode_head.transformer.position.weight");
  const auto expected = at::tensor({0.05, 0.05, 0.15, 0.05}, at::kFloat);
  check("anchors lie on the grid, x first", at::allclose(anchors.slice(0, 0, 2).reshape(-1), expected));

  const auto plain = model::model_size("tiny", Dict{{"local_attention_init", false}, {"grid_anchors", false}});
  const auto state = model::CellSam(plain, false)->state_dict();
  const auto usual = entry(state, "cellfinder.decode_head.transformer.decoder_layers.1.cross_attn.in_proj_weight");
  const auto bound = std::sqrt(6.0 / static_cast<double>(usual.size(0) + usual.size(1)));  // Glorot and Bengio, AISTATS 2010
  check("attention starts uniform within its bound",
        usual.abs().max().item<double>() <= bound && usual.abs().max().item<double>() > 0.95 * bound);
}

void check_autocast(const model::ModelSize& tiny) {
  at::manual_seed(3);
  model::CellSam net(tiny, false);
  const auto x = at::randn({2, 3, tiny.image_size, tiny.image_size});
  const auto boxes = at::tensor({10.0, 20.0, 50.0, 60.0}).reshape({1, 4});
  const auto output = [&] {
    const auto found = net->cellfinder->forward(x);
    const auto features = net->model->image_encoder->forward(x.slice(0, 0, 1));
    const auto prompts = net->model->prompt_encoder->forward({}, {}, boxes, {});
    const auto masks = net->model->mask_decoder->forward(features, net->model->prompt_encoder->dense_pe(), prompts.sparse,
                                                         prompts.dense, true);
    return std::make_pair(found, masks);
  };
  const auto [found, masks] = output();
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto [found16, masks16] = output();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  const auto distance = [](const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); };
  check("autocast boxes are float32", found16.boxes[-1].scalar_type() == at::kFloat);
  check("autocast boxes are close", distance(found16.boxes[-1], found.boxes[-1]) < 0.01);
  check("autocast logits are close", distance(found16.logits[-1], found.logits[-1]) < 0.1);
  check("autocast masks are close",
        distance(masks16.logits, masks.logits) < 0.05 * masks.logits.abs().max().item<double>() + 0.02);
  const auto loss = found16.boxes[-1].sum() + found16.logits[-1].sum() + masks16.logits.to(at::kFloat).sum();
  loss.backward();
  bool finite = true;
  for (const auto& [name, parameter] : net->unique_parameters()) {
    if (parameter.grad().defined()) finite = finite && parameter.grad().isfinite().all().item<bool>();
  }
  check("autocast gradients are finite", finite);
}

// A frozen layer keeps its weights as bfloat16; its output must follow them.
void check_frozen_weights() {
  at::manual_seed(4);
  model::MlpBlock layer(16, 32, model::Activation::gelu);
  const auto x = at::randn({5, 16});
  const auto output = [&](bool frozen) {
    for (auto& parameter : layer->parameters()) parameter.requires_grad_(!frozen);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    const auto y = layer->forward(x).detach();
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    return y;
  };
  const auto first = output(true);
  check("a frozen layer computes the same as one that trains",
        first.scalar_type() == at::kBFloat16 && first.equal(output(false)));
  check("the same from its kept weights", first.equal(output(true)) && first.equal(output(true)));
  {
    at::NoGradGuard no_grad;
    layer->parameters()[3].add_(0.5);  // the last bias
  }
  const auto moved = output(true);
  check("a frozen layer follows weights that are written", !moved.equal(first) && moved.equal(output(false)));
  layer->to(at::kDouble);
  layer->to(at::kFloat);
  check("and weights that are moved", moved.equal(output(true)));
}

// Blocks with activation checkpointing have the same outputs and gradients as without.
void check_checkpointing(const model::ModelSize& tiny) {
  at::manual_seed(6);
  model::ImageEncoder net(tiny, true);
  for (auto& parameter : net->parameters()) {
    at::NoGradGuard no_grad;
    parameter.normal_(0, 0.1);
  }
  net->parameters()[3].requires_grad_(false);
  const auto image = at::randn({1, 3, tiny.image_size, tiny.image_size});
  const auto gradients = [&](bool checkpointing, bool bf16, bool wanted) {
    net->set_checkpointing(checkpointing);
    net->zero_grad();
    const auto x = image.clone().requires_grad_(wanted);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, bf16);
    const auto y = net->forward(x);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    y.to(at::kFloat).square().mean().backward();
    std::vector<at::Tensor> found{y.detach()};
    if (wanted) found.push_back(x.grad());
    for (const auto& parameter : net->parameters()) {
      found.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::zeros({1}));
    }
    return found;
  };
  for (const bool bf16 : {false, true}) {
    for (const bool wanted : {false, true}) {
      const auto once = gradients(false, bf16, wanted), twice = gradients(true, bf16, wanted);
      bool same = once.size() == twice.size();
      for (std::size_t i = 0; same && i < once.size(); ++i) same = once[i].equal(twice[i]);
      check(std::string("checkpointing changes no bit, ") + (bf16 ? "bf16" : "fp32") + (wanted ? ", with the image's" : ""),
            same);
      check("autocast is left as it was", !at::autocast::is_autocast_enabled(at::kCPU));
    }
  }
}

}  // namespace
}  // namespace cellsam

TEST_PROGRAM(model_rules) {
  using namespace cellsam;
  const auto tiny = model::model_size("tiny");
  check_sizes();
  at::manual_seed(1);
  model::CellSam net(tiny, false);
  check_sharing(net);
  check_initial_weights(tiny);
  check_autocast(tiny);
  check_frozen_weights();
  check_checkpointing(tiny);
  std::printf("{\"compared\":%d,\"failed\":%d}\n", compared, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace cellsam::test::model_rules_program
