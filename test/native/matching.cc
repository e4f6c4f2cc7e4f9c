// Matching: the float32 costs against float64 with every instruction set, its errors, layers matched on threads of their own
// against the same without, and the detection loss's own gradients against automatic differentiation.
#include <ATen/Parallel.h>

#include "kernels/focal_class_kernel.h"
#include "kernels/isa.h"
#include "loss/detection.h"
#include "loss/layer_matcher.h"
#include "native/checks.h"
#include "native/gradients.h"
#include "native/program.h"

namespace cellsam::test::matching_program {

using at::Tensor;

namespace {

struct Scene {
  Tensor logits, boxes;  // [L,B,Q,C], [L,B,Q,4]
  std::vector<loss::Targets> targets;
};

Tensor random_boxes(std::int64_t count) { return at::cat({at::rand({count, 2}), at::rand({count, 2}) * 0.2 + 0.01}, 1); }

Scene random_scene(std::int64_t layers, std::int64_t images, std::int64_t queries, std::int64_t targets, std::int64_t classes) {
  Scene scene{at::randn({layers, images, queries, classes}) * 3,
              random_boxes(layers * images * queries).view({layers, images, queries, 4}),
              {}};
  for (std::int64_t image = 0; image < images; ++image) {
    const auto count = targets + image;
    scene.targets.push_back({random_boxes(count), at::randint(classes, {count}, at::kLong)});
  }
  return scene;
}

const std::vector<kernels::Isa> kLevels = {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512};

void check_costs(test::Checks& checks) {
  for (auto [queries, classes] : {std::pair{1, 1}, {63, 2}, {64, 1}, {131, 3}, {500, 2}}) {
    auto scene = random_scene(1, 1, queries, 9, classes);
    auto logits = scene.logits[0][0].div_(3), boxes = scene.boxes[0][0];
    logits[0].fill_(-200);  // certain, both ways
    logits[queries - 1].fill_(200);
    scene.targets[0].boxes[0].copy_(boxes[0]);  // the very same box
    const loss::MatchCost weights{2, 5, 1.5};
    const auto exact = loss::cost_matrix(logits.to(at::kDouble), boxes.to(at::kDouble), scene.targets[0], weights);
    const auto name = std::to_string(queries) + " queries";
    Tensor first;
    for (auto level : kLevels) {
      kernels::use_isa(level);
      const auto cost = loss::cost_matrix(logits, boxes, scene.targets[0], weights);
      checks.near("costs, " + name, cost.to(at::kDouble), exact, 1e-5);
      if (!first.defined()) first = cost;
      checks.holds("the same bits with every instruction set, " + name, cost.equal(first));
    }
  }
  kernels::use_isa(kernels::best_isa());
}

Dict error_of(test::Checks& checks, const std::string& name, const Scene& scene) {
  return checks.throws(name, "ERR_NON_FINITE_COST",
                       [&] { loss::match(scene.logits[0][0], scene.boxes[0][0], scene.targets[0]); });
}

void check_non_finite(test::Checks& checks) {
  const auto is = [](const Dict& detail, double query, double target) {
    return detail.contains("query") && *detail.at("query").as<double>() == query && *detail.at("target").as<double>() == target;
  };
  for (auto level : kLevels) {
    kernels::use_isa(level);
    for (const float bad : {NAN, INFINITY}) {
      auto scene = random_scene(1, 1, 150, 5, 2);
      scene.boxes[0][0][77][1] = bad;
      scene.boxes[0][0][149][2] = bad;
      checks.holds("the first query with a bad box is named", is(error_of(checks, "a bad box", scene), 77, 0));
    }
    auto scene = random_scene(1, 1, 150, 5, 2);
    scene.targets[0].labels.fill_(1);
    scene.targets[0].labels[3] = 0;
    scene.logits[0][0][140][0] = NAN;
    checks.holds("the first target of a bad logit is named", is(error_of(checks, "a bad logit", scene), 140, 3));
    scene.targets[0].labels[3] = 1;
    checks.holds("a bad logit of a class that no target has does no harm",
                 loss::match(scene.logits[0][0], scene.boxes[0][0], scene.targets[0]).source.numel() == 5);
    auto flat = random_scene(1, 1, 150, 5, 2);
    flat.targets[0].boxes[2].slice(0, 2).fill_(0);
    checks.holds("a target without area can be matched",
                 loss::match(flat.logits[0][0], flat.boxes[0][0], flat.targets[0]).source.numel() == 5);
    flat.boxes[0][0][9].copy_(flat.targets[0].boxes[2]);
    checks.holds("but not with a query that is the same point", is(error_of(checks, "two points", flat), 9, 2));
    const auto tiny = random_scene(1, 1, 150, 5, 2);
    tiny.boxes[0][0].slice(1, 2).mul_(1e-25);  // areas vanish in float32
    checks.holds("boxes without area can be matched",
                 loss::match(tiny.logits[0][0], tiny.boxes[0][0], tiny.targets[0]).source.numel() == 5);
  }
  kernels::use_isa(kernels::best_isa());
}

loss::Matched matched(const Scene& scene, std::int64_t threads) {
  loss::LayerMatcher matcher(scene.targets, {}, threads);
  for (std::int64_t layer = 0; layer < scene.logits.size(0); ++layer) matcher.add(scene.logits[layer], scene.boxes[layer]);
  return matcher.finish();
}

bool same(const loss::Matched& a, const loss::Matched& b) {
  bool equal = a.found.size() == b.found.size();
  for (std::size_t i = 0; equal && i < a.found.size(); ++i) {
    equal = a.found[i].rows == b.found[i].rows && a.found[i].columns == b.found[i].columns;
  }
  return equal;
}

void check_threads(test::Checks& checks) {
  for (auto targets : {0, 20, 160}) {  // of 140 queries: more targets than queries, too
    const auto scene = random_scene(4, 3, 140, targets, 2);
    const auto plain = matched(scene, 0);
    checks.holds("a problem per layer and image", plain.found.size() == 12 && plain.logits.size() == 4);
    for (std::int64_t layer = 0; layer < 4; ++layer) {
      for (std::int64_t image = 0; image < 3; ++image) {
        const auto alone = loss::match(scene.logits[layer][image], scene.boxes[layer][image], scene.targets[image]);
        const auto& found = plain.found[layer * 3 + image];
        checks.holds("as the image alone", alone.source.equal(at::tensor(found.rows, at::kLong)) &&
                                               alone.target.equal(at::tensor(found.columns, at::kLong)));
      }
    }
    loss::LayerMatcher together(scene.targets, {});
    together.add(scene.logits.narrow(0, 0, 3), scene.boxes.narrow(0, 0, 3));
    together.add(scene.logits[3], scene.boxes[3]);
    checks.holds("several layers handed in together: the same pairs", same(together.finish(), plain));
    for (std::int64_t threads : {1, 2, 5}) {
      int differ = 0;
      for (int round = 0; round < 20; ++round) differ += same(matched(scene, threads), plain) ? 0 : 1;
      checks.near("own threads: the same pairs, every time", differ, 0, 0);
    }
    loss::DetectionLossOptions options;
    loss::LayerMatcher matcher(scene.targets, options.match_cost, 2);
    for (std::int64_t layer = 0; layer < 4; ++layer) matcher.add(scene.logits[layer], scene.boxes[layer]);
    const auto ahead = loss::detection_loss(scene.logits, scene.boxes, scene.targets, options, matcher);
    const auto after = loss::detection_loss(scene.logits.unbind(0), scene.boxes.unbind(0), scene.targets, options);
    checks.holds("the loss of a matching that ran ahead is the same, bit for bit",
                 ahead.total.equal(after.total) && ahead.giou.equal(after.giou) && ahead.class_error == after.class_error);
  }
  auto scene = random_scene(4, 3, 140, 20, 2);
  scene.logits[1][2][11].fill_(NAN);
  scene.logits[3][0][5].fill_(NAN);
  for (std::int64_t threads : {0, 3}) {
    const auto detail = checks.throws("a problem that fails", "ERR_NON_FINITE_COST", [&] { matched(scene, threads); });
    checks.holds("the first one is told", detail.contains("query") && *detail.at("query").as<double>() == 11);
  }
  for (int round = 0; round < 50; ++round) {  // given up while its threads work
    loss::LayerMatcher matcher(scene.targets, {}, 2);
    for (std::int64_t layer = 0; layer < 4; ++layer) matcher.add(scene.logits[layer], scene.boxes[layer]);
  }
  loss::LayerMatcher matcher(scene.targets, {}, 2);
  checks.throws("layers of another batch", "ERR_INVALID_ARGUMENT",
                [&] { matcher.add(scene.logits[0].narrow(0, 0, 2), scene.boxes[0].narrow(0, 0, 2)); });
  checks.holds("no layers, no problems", matcher.finish().found.empty());

  // Without the auxiliary losses only the last layer may be matched: the others may even be unfit for it.
  loss::DetectionLossOptions last_only;
  last_only.aux_loss = false;
  scene.logits[3][0][5].fill_(0);
  const auto logits = scene.logits.unbind(0), boxes = scene.boxes.unbind(0);
  const auto found = loss::detection_loss(logits, boxes, scene.targets, last_only);
  checks.near("without aux_loss only the last layer is matched", found.total.item<double>(),
              loss::detection_loss({logits[3]}, {boxes[3]}, scene.targets).total.item<double>(), 0);
  loss::LayerMatcher none(scene.targets, {});
  checks.throws("a matching of other layers", "ERR_INVALID_ARGUMENT",
                [&] { loss::detection_loss(scene.logits, scene.boxes, scene.targets, last_only, none); });
}

// Loss and gradient of one class logit, from -110 to 110, in float32 against float64.
void check_class_loss(test::Checks& checks) {
  const auto logits = at::cat({at::linspace(-110, 110, 2201), at::linspace(-3, 3, 1000)}).to(at::kFloat);
  const auto count = logits.size(0);
  const auto wide = logits.to(at::kDouble);
  for (const double alpha : {0.75, -0.25}) {
    const auto weight = at::full({count}, alpha, at::kDouble);
    const auto narrow_weight = weight.to(at::kFloat);
    auto expected = at::empty_like(wide);
    const double sum = kernels::class_loss(wide.const_data_ptr<double>(), weight.const_data_ptr<double>(), count, 0.5,
                                           expected.data_ptr<double>());
    Tensor first;
    for (auto level : kLevels) {
      kernels::use_isa(level);
      auto gradient = at::empty_like(logits);
      const double got = kernels::class_loss(logits.const_data_ptr<float>(), narrow_weight.const_data_ptr<float>(), count, 0.5,
                                             gradient.data_ptr<float>());
      checks.near("class loss in float32", got / sum, 1, 1e-6);
      const auto error = (gradient.to(at::kDouble) - expected).abs() / (expected.abs() + 1e-30);
      checks.near("its gradient, relative", error.max().item<double>(), 0, 1e-6);
      if (!first.defined()) first = gradient;
      checks.holds("the same bits with every instruction set", gradient.equal(first));
    }
    // d/dx by differences, where they are good.
    const auto at_point = at::linspace(-4, 4, 9, at::kDouble);
    const auto weights = at::full({9}, alpha, at::kDouble);
    auto slope = at::empty_like(at_point);
    kernels::class_loss(at_point.const_data_ptr<double>(), weights.const_data_ptr<double>(), 9, 1, slope.data_ptr<double>());
    const auto function = [&](const Tensor& x) {
      auto ignored = at::empty_like(x);
      return at::scalar_tensor(
          kernels::class_loss(x.const_data_ptr<double>(), weights.const_data_ptr<double>(), 9, 1, ignored.data_ptr<double>()),
          at::kDouble);
    };
    checks.near("d class loss", slope, test::numeric_gradient(at_point, function), 1e-8);
  }
  kernels::use_isa(kernels::best_isa());
}

// L1 and GIoU as operations of torch, for one query that is matched with one target.
Tensor composed_boxes(const Tensor& box, const Tensor& truth) {
  const auto low = [](const Tensor& b) { return b.slice(0, 0, 2) - b.slice(0, 2, 4) / 2; };
  const auto high = [](const Tensor& b) { return b.slice(0, 0, 2) + b.slice(0, 2, 4) / 2; };
  const auto overlap = (at::minimum(high(box), high(truth)) - at::maximum(low(box), low(truth))).clamp_min(0).prod();
  const auto joined = (high(box) - low(box)).prod() + (high(truth) - low(truth)).prod() - overlap;
  const auto hull = (at::maximum(high(box), high(truth)) - at::minimum(low(box), low(truth))).prod();
  return (box - truth).abs().sum() * 5 + (1 - overlap / joined + (hull - joined) / hull) * 2;
}

void check_boxes(test::Checks& checks) {
  const auto truth = at::tensor({.5, .5, .25, .25}, at::kDouble);
  const std::vector<std::vector<double>> cases = {{.5, .5, .25, .25},          // the same box
                                                  {.5, .5, .125, .0625},       // inside
                                                  {.5, .5, .5, .75},           // around
                                                  {.53, .47, .2, .3},          // across
                                                  {.25, .5, .25, .25},         // side by side, edges touch
                                                  {.4375, .4375, .125, .125},  // two edges in common
                                                  {.1, .9, .05, .1},           // far away
                                                  {.5, .25, .25, .25}};
  for (const auto& numbers : cases) {
    const auto box = at::tensor(numbers, at::kDouble);
    const auto logits = at::zeros({1, 1, 1}, at::kDouble);
    const loss::Targets target{truth.view({1, 4}), at::zeros({1}, at::kLong)};
    loss::DetectionLossOptions options;
    options.ce_weight = 0;
    const auto own = [&](const Tensor& x) {
      return loss::detection_loss({logits}, {x.view({1, 1, 4})}, {target}, options).total;
    };
    const auto composed = [&](const Tensor& x) { return composed_boxes(x, truth); };
    checks.near("box losses", own(box), composed(box), 1e-12);
    checks.near("d box losses, as autograd has them where edges meet", test::analytic_gradient(box, own),
                test::analytic_gradient(box, composed), 1e-11);
  }
  // float32 is float64 rounded, and the gradient scales with what comes after the loss.
  const auto scene = random_scene(2, 2, 200, 12, 2);
  const auto total = [&](at::ScalarType dtype) {
    auto logits = scene.logits.to(dtype).requires_grad_(true), boxes = scene.boxes.to(dtype).requires_grad_(true);
    (loss::detection_loss(logits.unbind(0), boxes.unbind(0), scene.targets).total * 3).backward();
    return at::cat({logits.grad().flatten(), boxes.grad().flatten()}).to(at::kDouble);
  };
  const auto wide = total(at::kDouble);
  checks.near("gradients in float32", (total(at::kFloat) - wide).abs() / wide.abs().max(), at::zeros_like(wide), 1e-6);
}

}  // namespace

TEST_PROGRAM(matching) {
  at::manual_seed(5);
  Checks checks("matching");
  check_costs(checks);
  check_non_finite(checks);
  check_threads(checks);
  check_class_loss(checks);
  check_boxes(checks);
  return checks.finish();
}

}  // namespace cellsam::test::matching_program
