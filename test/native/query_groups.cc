// Groups of queries in training: each is the network with the group's anchors in the place of its own, and sees no other.
#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <string>

#include "kernels/attention_kernels.h"
#include "model/cellfinder.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::query_groups_program {
namespace {

constexpr std::int64_t kGroups = 3, kImages = 2;

using Gradients = std::map<std::string, at::Tensor>;

Gradients gradients_of(model::CellFinder& net) {
  Gradients found;
  for (const auto& parameter : net->decode_head->named_parameters()) {
    if (parameter.value().grad().defined()) found[parameter.key()] = parameter.value().grad().clone();
  }
  net->zero_grad();
  return found;
}

at::Tensor loss_of(const model::Detections& detections) {
  return detections.logits.square().mean() + detections.boxes.square().mean();
}

void check_anchors(Checks& checks, model::CellFinder& net, std::int64_t queries) {
  const auto& transformer = net->decode_head->transformer;
  const auto own = transformer->anchors_of(1);
  const auto all = transformer->anchors_of(9).view({9, queries, 2});
  checks.holds("the first group has the network's anchors", all[0].equal(own));
  checks.holds("anchors are within the image", all.ge(0).all().item<bool>() && all.le(1).all().item<bool>());
  const double distance = 1 / std::sqrt(static_cast<double>(queries));
  checks.holds("they move by at most half of the distance", (all - own).abs().max().item<double>() <= distance / 2 + 1e-6);
  // The centre anchor of a grid is not clamped: nine points of a square of the side `distance` that keep well apart.
  const auto centre = all.select(1, queries / 2);
  const auto apart = at::cdist(centre, centre) + at::eye(9);
  checks.holds("and keep apart", apart.min().item<double>() > distance / 6);
}

// The answers of a group, and the gradients of all of them together, are those of networks that have its anchors.
void check_apart(Checks& checks, const std::string& name, model::CellFinder& net, std::int64_t queries, double limit) {
  const auto features = at::randn({kImages, 96, 6, 9});
  const auto together = net->head(features, std::nullopt, nullptr, {}, kGroups);
  loss_of(together).backward();
  auto gradients = gradients_of(net);

  auto anchors = net->decode_head->transformer->named_parameters()["position.weight"];
  const auto own = anchors.detach().clone();
  const auto moved = net->decode_head->transformer->anchors_of(kGroups).detach().view({kGroups, queries, 2});
  Gradients sums;
  for (std::int64_t group = 0; group < kGroups; ++group) {
    anchors.detach().copy_(moved[group]);
    const auto alone = net->head(features);
    loss_of(alone).backward();
    for (const auto& [key, gradient] : gradients_of(net)) {
      auto& sum = sums[key];
      sum = sum.defined() ? sum + gradient : gradient;
    }
    for (std::int64_t image = 0; image < kImages; ++image) {
      const auto row = image * kGroups + group;
      const auto where = name + ", group " + std::to_string(group) + ", image " + std::to_string(image);
      checks.near(where + ": logits", together.logits.select(1, row), alone.logits.select(1, image), limit);
      checks.near(where + ": boxes", together.boxes.select(1, row), alone.boxes.select(1, image), limit);
    }
  }
  anchors.detach().copy_(own);
  for (const auto& [key, sum] : sums) {
    if (key.find("position") != std::string::npos) continue;  // those of clamped anchors are 0 in a group
    checks.relative(name + ": gradient of " + key, gradients[key] * kGroups, sum, 100 * limit);
  }
}

void check_head(Checks& checks) {
  at::manual_seed(1);
  for (const std::int64_t patterns : {1, 2}) {
    auto size = model::model_size("tiny", Dict{{"depth", 1}, {"num_queries", 49}});
    size.num_patterns = patterns;
    model::CellFinder net(size);
    {
      at::NoGradGuard no_grad;  // boxes that differ from query to query
      for (auto& parameter : net->decode_head->transformer->named_parameters()) {
        if (parameter.key().starts_with("bbox_embed")) parameter.value().normal_(0, 0.1);
      }
    }
    if (patterns == 1) check_anchors(checks, net, 49);
    const auto name = std::to_string(patterns) + " patterns";
    check_apart(checks, name, net, 49, 1e-5);
    kernels::attention::set_enabled(false);
    check_apart(checks, name + ", kernels off", net, 49, 1e-5);
    kernels::attention::set_enabled(true);
  }
}

}  // namespace

TEST_PROGRAM(query_groups) {
  Checks checks("query_groups");
  check_head(checks);
  return checks.finish();
}

}  // namespace cellsam::test::query_groups_program
