// Loading a checkpoint into a model: every layout, every way of not fitting, and that a refused checkpoint changes nothing.
#include <algorithm>

#include "native/program.h"
#include "weights/layout.h"
#include "weights_check.h"

namespace cellsam::test::weights_layout_program {

using namespace cellsam::weights;
using namespace cellsam::weights::test;

namespace {

// The targets of a model with the names of `like`, holding -1 everywhere. The heads are one tensor under many names.
TensorMap model_like(const TensorMap& like, at::ScalarType type = at::kFloat) {
  TensorMap model;
  std::vector<std::pair<const void*, at::Tensor>> made;
  for (const auto& [name, tensor] : like) {
    at::Tensor target;
    for (const auto& [address, known] : made) {
      if (address == tensor.const_data_ptr()) target = known;
    }
    if (!target.defined()) target = at::full(tensor.sizes(), -1, type);
    made.emplace_back(tensor.const_data_ptr(), target);
    model.emplace_back(name, target);
  }
  return model;
}

at::Tensor& named(TensorMap& map, const std::string& name) {
  for (auto& [key, tensor] : map) {
    if (key == name) return tensor;
  }
  throw Error("TEST", "no " + name);
}

TensorMap without(const TensorMap& map, const std::string& part) {
  TensorMap rest;
  for (const auto& entry : map) {
    if (entry.first.find(part) == std::string::npos) rest.push_back(entry);
  }
  return rest;
}

TensorMap prefixed(const TensorMap& map, const std::string& prefix) {
  TensorMap out;
  for (const auto& [name, tensor] : map) out.emplace_back(prefix + name, tensor);
  return out;
}

void untouched(const TensorMap& model, const std::string& when) {
  for (const auto& [name, tensor] : model)
    check(tensor.eq(-1).all().item<bool>(), name + " changed by a refused checkpoint: " + when);
}

void refused(const TensorMap& source, const TensorMap& model, const std::string& code, const std::string& mentions,
             const std::string& when) {
  std::string message;
  const auto got = code_of([&] { load_into(source, model); }, &message);
  check(got == code, when + ": expected " + code + ", got " + got + " " + message);
  check(message.find(mentions) != message.npos, when + ": the message names " + mentions + ": " + message);
  untouched(model, when);
}

void test_layouts() {
  for (bool copy : {false, true}) {
    for (const std::string prefix : {"", "module."}) {
      const auto source = toy_cellsam(copy);
      auto model = model_like(source);
      const auto report = load_into(prefixed(source, prefix), model);
      check(same_bits(source, model), "CellSAM loads, prefix '" + prefix + "'");
      check(report.layout == (copy ? "cellsam_adv" : "cellsam") && report.preprocessing == (copy ? "adv" : "plain"),
            "its layout");
      check(report.loaded == static_cast<std::int64_t>(source.size()), "all are counted");
      check(report.missing.empty() && report.unexpected.empty() && report.warnings.empty(), "and nothing is reported");
    }
  }
  refused(toy_cellsam(true), model_like(toy_cellsam(false)), "ERR_CHECKPOINT_MISMATCH", "model_cp.", "adv into plain");
  refused(toy_cellsam(false), model_like(toy_cellsam(true)), "ERR_CHECKPOINT_MISMATCH", "model_cp.", "plain into adv");
  refused({{"encoder.weight", at::ones({1})}}, model_like(toy_sam()), "ERR_CHECKPOINT_FORMAT", "encoder.weight",
          "another network");
}

void test_sam() {
  for (bool copy : {false, true}) {
    const auto sam = toy_sam();
    auto model = model_like(toy_cellsam(copy));
    const auto report = load_into(sam, model);
    check(report.layout == "sam" && report.unexpected.empty(), "plain SAM");
    auto source = sam;
    for (auto& [name, tensor] : model) {
      if (name.starts_with("model.")) check(same_bits(tensor, named(source, name.substr(6))), name + " from SAM");
      if (name.starts_with("model_cp.")) check(same_bits(tensor, named(source, name.substr(9))), name + " from SAM");
      const std::string body = "cellfinder.decode_head.backbone.body.";
      const bool backbone = name.starts_with(body);
      if (backbone) check(same_bits(tensor, named(source, "image_encoder." + name.substr(body.size()))), name + " from SAM");
      const bool head = name.starts_with("cellfinder.") && !backbone;
      const bool reported = std::find(report.missing.begin(), report.missing.end(), name) != report.missing.end();
      check(reported == head && tensor.eq(-1).all().item<bool>() == head,
            name + ": missing exactly when of the detector's head");
    }
    check(report.warnings.size() == 1, "the missing head is said loudly");
    refused(without(sam, "pos_embed"), model_like(toy_cellsam(copy)), "ERR_CHECKPOINT_MISMATCH", "pos_embed",
            "SAM without a part");
  }
}

void test_misfits() {
  const auto whole = toy_cellsam(false);
  const std::string name = "model.mask_decoder.iou_token.weight";
  refused(without(whole, name), model_like(whole), "ERR_CHECKPOINT_MISMATCH", name, "a missing tensor");
  refused(whole, model_like(without(whole, name)), "ERR_CHECKPOINT_MISMATCH", name, "a left-over tensor");
  for (const auto& wrong : {at::ones({3, 2}), at::ones({6}), at::ones({2, 3}, at::kLong), at::ones({2, 3}, at::kBool)}) {
    auto source = toy_cellsam(false);
    named(source, name) = wrong;
    refused(source, model_like(whole), "ERR_CHECKPOINT_MISMATCH", "float32 [2,3]", "a tensor that does not fit");
  }
  for (double bad : {std::nan(""), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
    for (auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      auto source = toy_cellsam(false);
      named(source, name) = at::ones({2, 3}, type).index_put_({at::tensor(1), at::tensor(2)}, at::scalar_tensor(bad, type));
      refused(source, model_like(whole), "ERR_CHECKPOINT_NOT_FINITE", name, "a number that is none");
    }
  }
  auto large = toy_cellsam(false);
  named(large, name) = at::full({2, 3}, 1e300, at::kDouble);
  refused(large, model_like(whole), "ERR_CHECKPOINT_NOT_FINITE", name, "a double beyond float");

  LoadOptions options;
  options.allow_missing_prefixes = {"model.mask_decoder."};
  auto model = model_like(whole);
  const auto report = load_into(without(whole, name), model, options);
  check(report.missing == std::vector<std::string>{name}, "an allowed missing tensor is reported");
  check(named(model, name).eq(-1).all().item<bool>(), "and left alone");
  options.allow_unexpected_prefixes = {"model.extra"};
  auto more = toy_cellsam(false);
  more.emplace_back("model.extra.weight", at::ones({1}));
  more.emplace_back("criterion.empty_weight", at::ones({1}));
  model = model_like(whole);
  check(load_into(more, model, options).unexpected == std::vector<std::string>{"model.extra.weight", "criterion.empty_weight"},
        "what is allowed, and what belongs to no network, is reported only");
  check(load_into(more, model, options).loaded == static_cast<std::int64_t>(whole.size()), "and the rest is loaded");
}

void test_conversion() {
  const auto source = toy_cellsam(false);
  for (auto type : {at::kDouble, at::kHalf, at::kBFloat16}) {
    TensorMap converted;
    for (const auto& [name, tensor] : source) converted.emplace_back(name, tensor.to(type));
    auto model = model_like(source);
    load_into(converted, model);
    for (std::size_t i = 0; i < model.size(); ++i) {
      check(same_bits(model[i].second, converted[i].second.to(at::kFloat)), "numbers are converted to the model's dtype");
    }
  }
  auto model = model_like(source);
  for (auto& [name, tensor] : model) tensor.requires_grad_(true);
  load_into(source, model);
  check(same_bits(source, model) && model[0].second.is_leaf() && model[0].second.requires_grad(), "parameters stay leaves");
}

void test_tied() {
  const std::string head = "cellfinder.decode_head.transformer.class_embed.";
  auto source = toy_cellsam(false);
  for (int i = 0; i < 6; ++i) named(source, head + std::to_string(i) + ".weight") = at::full({2, 3}, i, at::kFloat);
  std::reverse(source.begin(), source.end());  // the last of the names, not of the file, wins in Python
  auto model = model_like(toy_cellsam(false));
  const auto report = load_into(source, model);
  for (int i = 0; i < 6; ++i)
    check(named(model, head + std::to_string(i) + ".weight").eq(5).all().item<bool>(), "the last copy wins");
  check(report.warnings.size() == 1 && report.warnings[0].find(head + "5") != std::string::npos,
        "differing copies give one warning");

  // Untied targets, and a checkpoint or a model with fewer names.
  auto loose = model_like(toy_cellsam(false));
  for (int i = 0; i < 6; ++i) named(loose, head + std::to_string(i) + ".weight") = at::zeros({2, 3});
  load_into(source, loose);
  check(named(loose, head + "0.weight").eq(5).all().item<bool>(), "the value goes to all names");
  auto one = without(without(without(without(without(source, "_embed.0"), "_embed.1"), "_embed.2"), "_embed.3"), "_embed.5");
  auto other = model_like(toy_cellsam(false));
  check(load_into(one, other).missing.empty() && named(other, head + "0.weight").eq(4).all().item<bool>(),
        "one copy is enough");
  auto narrow = model_like(one);
  check(load_into(source, narrow).unexpected.empty() && named(narrow, head + "4.weight").eq(5).all().item<bool>(),
        "one target is enough");
}

void test_report() {
  const auto whole = toy_cellsam(false);
  auto source = without(whole, "iou_token");
  source[0].second = at::ones({1});
  Dict detail;
  try {
    load_into(source, model_like(whole));
  } catch (const Error& error) {
    detail = error.detail;
  }
  check(detail["missing"].as<List>() != nullptr && detail["missing"].as<List>()->size() == 1,
        "the detail lists what is missing");
  const auto* wrong = detail["mismatched"].as<List>();
  check(wrong != nullptr && wrong->size() == 1, "the detail lists what does not fit");
  if (wrong == nullptr || wrong->empty()) return;
  const auto entry = *wrong->front().as<Dict>();
  check(*entry.at("expected").as<std::string>() == "float32 [2,3]" && *entry.at("found").as<std::string>() == "float32 [1]",
        "with both shapes");
}

}  // namespace

TEST_PROGRAM(weights_layout) {
  test_layouts();
  test_sam();
  test_misfits();
  test_conversion();
  test_tied();
  test_report();
  return finished("weights_layout");
}

}  // namespace cellsam::test::weights_layout_program
