#include "engine/losses.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>
#include <string>

#include "base/options.h"
#include "base/tensors.h"
#include "loss/detection.h"
#include "loss/hungarian.h"
#include "loss/mask_loss.h"
#include "loss/mining.h"

namespace cellsam::engine {

namespace {

// An f32 or f64 option as a tensor.
at::Tensor read_numbers(Options& options, const std::string& name) {
  auto tensor = to_tensor(options.require_array(name));
  if (!tensor.is_floating_point())
    throw Error("ERR_INVALID_ARGUMENT", "option " + name + " must be a Float32Array or Float64Array");
  return tensor;
}

// The option as a leaf that gathers a gradient. It shares the caller's memory, which nothing here writes.
at::Tensor read_leaf(Options& options, const std::string& name) { return read_numbers(options, name).requires_grad_(true); }

// The gradient of `total` in `leaf`; zeros when a weight of 0 has cut the leaf off.
Value gradient_of(const at::Tensor& total, const at::Tensor& leaf) {
  if (!total.requires_grad()) return to_array(at::zeros_like(leaf));
  const auto found =
      torch::autograd::grad({total}, {leaf}, {}, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true)[0];
  return to_array(found.defined() ? found : at::zeros_like(leaf));
}

Value numbers(const at::Tensor& tensor) { return to_array(tensor.detach().to(at::kDouble)); }

Value integers(const std::vector<std::int64_t>& values) { return to_array(at::tensor(values, at::kLong).to(at::kInt)); }

struct Masks {
  at::Tensor leaf, logits, target;  // logits and target are [N,H,W] views; a single mask [H,W] becomes N = 1
  at::Tensor ignored;               // [N,H,W] or [1,H,W]; undefined when not given
};

Masks read_masks(Options& options) {
  Masks masks;
  masks.leaf = read_leaf(options, "logits");
  masks.target = to_tensor(options.require_array("target"));
  if (masks.leaf.sizes() != masks.target.sizes() || masks.leaf.dim() < 2 || masks.leaf.dim() > 3) {
    throw Error("ERR_INVALID_ARGUMENT", "logits and target must have one shape, [N,H,W] or [H,W]");
  }
  const bool single = masks.leaf.dim() == 2;
  masks.logits = single ? masks.leaf.unsqueeze(0) : masks.leaf;
  if (single) masks.target = masks.target.unsqueeze(0);
  if (const auto* ignored = options.array("ignored")) {
    masks.ignored = to_tensor(*ignored);
    if (masks.ignored.dim() == 2) masks.ignored = masks.ignored.unsqueeze(0);
  }
  return masks;
}

Value single_loss(const loss::MaskLossKind& kind, Options& options) {
  const auto masks = read_masks(options);
  const auto settings = loss::read_loss_settings(kind, options);
  options.done();
  const auto value = loss::single_mask_loss(kind, masks.logits, masks.target, settings, masks.ignored);
  return Dict{{"value", numbers(value)}, {"gradient", gradient_of(value.sum(), masks.leaf)}};
}

Value mask(Options& options) {
  const auto masks = read_masks(options);
  loss::MaskLossOptions chosen;
  chosen.read(options);
  options.done();
  const auto found = loss::mask_loss(masks.logits, masks.target, chosen, masks.ignored);
  Dict result{{"total", numbers(found.total)}, {"gradient", gradient_of(found.total.sum(), masks.leaf)}};
  for (std::size_t i = 0; i < loss::mask_losses().size(); ++i) {
    result[std::string(loss::mask_losses()[i].name)] = numbers(found.terms.select(1, static_cast<std::int64_t>(i)));
  }
  return result;
}

std::vector<loss::Targets> read_targets(Options& options) {
  const auto* list = options.list("targets");
  if (list == nullptr)
    throw Error("ERR_INVALID_ARGUMENT", "loss.detection: option targets must be a list, one entry per image");
  std::vector<loss::Targets> all;
  for (const auto& entry : *list) {
    Options one(entry, "loss.detection targets[" + std::to_string(all.size()) + "]");
    all.push_back({read_numbers(one, "boxes"), to_tensor(one.require_array("labels")).to(at::kLong)});
    if (const auto* ignored = one.array("ignored")) {
      if (ignored->shape.size() != 2 || ignored->numel() == 0) {
        throw Error("ERR_INVALID_ARGUMENT", "loss.detection: ignored must be a mask [H,W] with pixels");
      }
      all.back().ignored = to_tensor(*ignored).ne(0);
    }
    one.done();
  }
  return all;
}

Value detection(Options& options) {
  const auto logits = read_leaf(options, "logits"), boxes = read_leaf(options, "boxes");
  const auto targets = read_targets(options);
  loss::DetectionLossOptions chosen;
  chosen.read(options);
  options.done();
  if (logits.dim() != 4 || boxes.dim() != 4) {
    throw Error("ERR_INVALID_ARGUMENT", "loss.detection: logits must be [L,B,Q,C] and boxes [L,B,Q,4]");
  }
  const auto found = loss::detection_loss(logits.unbind(0), boxes.unbind(0), targets, chosen);
  Dict result{{"total", found.total.item<double>()},
              {"class_error", found.class_error},
              {"logits_gradient", gradient_of(found.total, logits)},
              {"boxes_gradient", gradient_of(found.total, boxes)}};
  for (const auto& term : loss::kDetectorTerms) result[std::string(term.name)] = (found.*term.value).item<double>();
  return result;
}

Value mining(Options& options) {
  const auto totals = read_numbers(options, "totals");
  auto chosen = loss::read_mining_options(options);
  chosen.enabled = true;
  options.done();
  const auto weights = loss::mining_weights(totals, chosen);
  loss::MiningStatistics statistics;
  statistics.add(totals.size(0), chosen);
  return Dict{{"weights", numbers(weights)},
              {"selected", statistics.hard_examples_selected},
              {"ratio", statistics.hard_examples_ratio()}};
}

Value hungarian(Options& options) {
  const auto cost = read_numbers(options, "cost").to(at::kDouble);
  options.done();
  if (cost.dim() != 2) throw Error("ERR_INVALID_ARGUMENT", "hungarian: cost must have the shape [rows, columns]");
  const auto* numbers = cost.const_data_ptr<double>();
  const auto found = loss::hungarian(numbers, cost.size(0), cost.size(1));
  double total = 0;
  for (std::size_t i = 0; i < found.rows.size(); ++i) total += numbers[found.rows[i] * cost.size(1) + found.columns[i]];
  return Dict{{"rows", integers(found.rows)}, {"columns", integers(found.columns)}, {"total", total}};
}

using Command = Value (*)(Options&);

const std::map<std::string_view, Command>& commands() {
  static const std::map<std::string_view, Command> table = {
      {"loss.mask", mask}, {"loss.detection", detection}, {"mining.weights", mining}, {"hungarian", hungarian}};
  return table;
}

// The loss of the masks that a command loss.NAME means, or null.
const loss::MaskLossKind* single_loss_of(std::string_view command) {
  for (const auto& kind : loss::mask_losses()) {
    if (command == "loss." + std::string(kind.name)) return &kind;
  }
  return nullptr;
}

}  // namespace

bool is_loss_command(std::string_view command) { return commands().contains(command) || single_loss_of(command) != nullptr; }

Value call_loss(std::string_view command, const Value& arguments) {
  Options options(arguments, std::string(command));
  at::AutoGradMode with_grad(true);
  if (const auto* kind = single_loss_of(command)) return single_loss(*kind, options);
  return commands().at(command)(options);
}

}  // namespace cellsam::engine
