// The mask losses from low-resolution logits to their gradient, and the matching of stage 1 alone.
#include "data/instances.h"
#include "fixture.h"
#include "loss/layer_matcher.h"
#include "loss/matcher.h"
#include "loss/upsampled_mask_loss.h"
#include "row.h"

namespace cellsam::bench {
namespace {

class MaskLosses final : public Row {
 public:
  explicit MaskLosses(const Setting& setting) {
    logits_ = read_input(setting.folder, "logits").to(setting.device).requires_grad_(true);
    labels_ = read_input(setting.folder, "labels").to(setting.device);
    ids_ = at::arange(1, logits_.size(0) + 1, labels_.options());
  }

  Dict check() override {
    const auto value = step();
    return {{"value", value.item<double>()}, {"gradient", logits_.grad().norm().item<double>()}};
  }

  void run() override { step(); }

 private:
  at::Tensor step() {
    logits_.mutable_grad().reset();
    const loss::UpsampledMasks masks{logits_.squeeze(1), labels_[0], ids_, 4 * logits_.size(2)};
    const auto value = loss::upsampled_mask_loss(masks).loss.total.sum();
    value.backward();
    return value.detach();
  }

  at::Tensor logits_, labels_, ids_;  // [N,1,l,l], [1,T,T], [N]
};

void write_mask_fixture(const Setting& setting, Options& parameters) {
  const auto masks = parameters.integer("masks", 8), low = parameters.integer("low", 256);
  const auto tile = draw_tile(parameters.integer("tile", 512), masks);
  write_inputs(setting.folder, {{"logits", at::randn({masks, 1, low, low})}, {"labels", tile.labels}});
}

std::unique_ptr<Row> open_mask_losses(const Setting& setting, Options& parameters) {
  for (const char* name : {"tile", "masks", "low"}) parameters.integer(name, 0);
  return std::make_unique<MaskLosses>(setting);
}

class Matching final : public Row {
 public:
  explicit Matching(const Setting& setting) {
    logits_ = read_input(setting.folder, "logits").to(setting.device);
    boxes_ = read_input(setting.folder, "boxes").to(setting.device);
    const auto truth = read_input(setting.folder, "truth");
    targets_ = {{truth, at::zeros({truth.size(0)}, at::kLong)}};
  }

  // The least total cost is unique, the assignment that reaches it need not be.
  Dict check() override {
    const auto found = loss::match(logits_[0][0], boxes_[0][0], targets_[0]);
    const auto cost = loss::cost_matrix(logits_[0][0], boxes_[0][0], targets_[0]).to(at::kCPU);
    return {{"value", cost.index({found.source, found.target}).sum().item<double>()}};
  }

  void run() override {
    loss::LayerMatcher matcher(targets_, {});
    matcher.add(logits_[0], boxes_[0]);
    matcher.finish();
  }

 private:
  at::Tensor logits_, boxes_;  // [1,1,Q,2], [1,1,Q,4]
  std::vector<loss::Targets> targets_;
};

// Like the outputs of an untrained detector: boxes of one size at random anchors, class scores near their initial value.
void write_matching_fixture(const Setting& setting, Options& parameters) {
  const auto queries = parameters.integer("queries", 3500), targets = parameters.integer("targets", 500);
  at::manual_seed(3);
  const auto truth = at::cat({at::rand({targets, 2}) * 0.9 + 0.05, at::rand({targets, 2}) * 0.04 + 0.02}, 1);
  const auto boxes = at::cat({at::rand({queries, 2}), at::full({queries, 2}, 0.12)}, 1);
  const auto logits = at::randn({queries, 2}) * 0.1 - 4.6;
  write_inputs(setting.folder,
               {{"truth", truth}, {"boxes", boxes.view({1, 1, queries, 4})}, {"logits", logits.view({1, 1, queries, 2})}});
}

std::unique_ptr<Row> open_matching(const Setting& setting, Options& parameters) {
  for (const char* name : {"queries", "targets"}) parameters.integer(name, 0);
  return std::make_unique<Matching>(setting);
}

}  // namespace

std::map<std::string, Maker> loss_rows() {
  return {{"mask-losses", {write_mask_fixture, open_mask_losses}}, {"matching", {write_matching_fixture, open_matching}}};
}

}  // namespace cellsam::bench
