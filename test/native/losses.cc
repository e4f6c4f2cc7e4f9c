// The mask losses, example mining and the detection loss: the reference vectors of the Python module, finite differences in
// float64, and the properties that the Python module lacked (linear weights, one rule with and without mining).
#include "loss/detection.h"
#include "loss/ignored.h"
#include "loss/mask_loss.h"
#include "loss/mining.h"
#include "native/checks.h"
#include "native/gradients.h"
#include "native/mask_losses.h"
#include "native/program.h"

namespace cellsam::test::losses_program {

using at::Tensor;

namespace {

Tensor one_prompt(const Tensor& mask) { return mask.unsqueeze(0); }

void check_vectors(test::Checks& checks) {
  const auto z = one_prompt(at::tensor({0.f, 1.f, -1.f, 2.f}).view({2, 2}));
  const auto g = one_prompt(at::tensor({1.f, 0.f, 0.f, 1.f}).view({2, 2}));
  checks.near("2x2 focal, gamma 2", single_loss("focal", z, g).item<double>(), 0.146791860, 1e-6);
  checks.near("2x2 focal, gamma 3", single_loss("focal", z, g, {{"focal_gamma", 3}}).item<double>(), 0.102778763, 1e-6);
  checks.near("2x2 dice", single_loss("dice", z, g).item<double>(), 0.300922513, 1e-6);
  checks.near("2x2 boundary", single_loss("boundary", z, g).item<double>(), 0.692647636, 1e-6);

  const auto ramp = one_prompt(at::linspace(-2, 2, 25, at::kFloat).view({5, 5}));
  auto square = at::zeros({1, 5, 5}, at::kByte);
  square.narrow(1, 1, 3).narrow(2, 1, 3).fill_(1);
  checks.near("5x5 focal", single_loss("focal", ramp, square).item<double>(), 0.271574795, 1e-6);
  checks.near("5x5 dice", single_loss("dice", ramp, square).item<double>(), 0.555555582, 1e-6);
  checks.near("5x5 boundary", single_loss("boundary", ramp, square).item<double>(), 1.708793640, 2e-6);
}

double mined_mean(const std::vector<float>& totals, bool weighted, double fraction) {
  loss::MiningOptions options;
  options.enabled = true;
  options.weighted = weighted;
  options.fraction = fraction;
  const auto values = at::tensor(totals);
  return (loss::mining_weights(values, options) * values).mean().item<double>();
}

void check_mining(test::Checks& checks) {
  const std::vector<float> ten = {3, 1, 2, 10, 5, 4, 9, 7, 6, 8}, equal(10, 2.f);
  checks.near("mining basic .1", mined_mean(ten, false, 0.1), 6.5, 1e-6);
  checks.near("mining basic .3", mined_mean(ten, false, 0.3), 8.2, 1e-6);
  checks.near("mining weighted .1", mined_mean(ten, true, 0.1), 6.35, 1e-6);
  checks.near("mining weighted .3", mined_mean(ten, true, 0.3), 7.925, 1e-6);
  checks.near("mining of equal totals", mined_mean(equal, true, 0.3), 2.51, 1e-6);
  checks.near("mining of three", mined_mean({1, 2, 3}, true, 0.1), 2.85, 1e-6);
  checks.near("mining of zeros takes the least weight",
              loss::mining_weights(at::zeros({4}), {true, true, 0.5}).sum().item<double>(), 1.2 + 1.2 + 1 + 1, 1e-6);
  checks.near("mining off", loss::mining_weights(at::tensor(ten), {}).sum().item<double>(), 10, 0);
  checks.holds("mining of nothing", loss::mining_weights(at::zeros({0}), {true}).numel() == 0);
  checks.holds("equal totals: the first are taken",
               loss::mining_weights(at::ones({5}), {true, false, 0.4}).narrow(0, 0, 2).eq(2).all().item<bool>());
  checks.holds("29 % of 100 is 29", loss::hard_count(100, {true, false, 0.29}) == 29);
  loss::MiningStatistics statistics;
  statistics.add(10, {true, false, 0.3});
  statistics.add(2, {true, false, 0.3});
  checks.near("hard ratio", statistics.hard_examples_ratio(), 4.0 / 12, 1e-12);
}

struct Scene {
  Tensor z, g;
};

Scene random_masks() {
  at::manual_seed(7);
  const auto z = at::randn({3, 5, 6}, at::kDouble) * 2;
  return {z, at::rand({3, 5, 6}, at::kDouble).gt(0.5).to(at::kDouble)};
}

void check_gradients(test::Checks& checks) {
  const auto [z, g] = random_masks();
  auto compare = [&](const std::string& name, const std::function<Tensor(const Tensor&)>& function, const Tensor& at_point) {
    checks.near("d " + name, test::analytic_gradient(at_point, function), test::numeric_gradient(at_point, function), 2e-8);
  };
  const auto target = g;
  const auto soft = at::rand_like(g);
  const auto scale = at::tensor({1.0, -2.0, 3.0});  // unequal, so that a mix-up of prompts shows
  for (double gamma : {0.0, 0.5, 1.0, 2.0, 3.0}) {
    const auto name = "focal gamma " + std::to_string(gamma).substr(0, 3);
    compare(
        name,
        [&](const Tensor& x) {
          return single_loss("focal", x, target, {{"focal_gamma", gamma}}).dot(scale);
        },
        z);
    const Dict without{{"focal_gamma", gamma}, {"focal_alpha", -1}};
    compare(
        name + " soft, no alpha", [&](const Tensor& x) { return single_loss("focal", x, soft, without).dot(scale); }, z);
  }
  compare(
      "dice",
      [&](const Tensor& x) {
        return single_loss("dice", x, target, {{"dice_smooth", 0.7}}).dot(scale);
      },
      z);
  compare(
      "boundary", [&](const Tensor& x) { return single_loss("boundary", x, soft).dot(scale); }, z);
  const auto options = mask_options({{"focal_loss_weight", 3}, {"dice_loss_weight", 0.5}, {"boundary_loss_weight", 2}});
  for (bool weighted : {false, true}) {
    const auto weights = loss::mining_weights(loss::mask_loss(z, target, options).total, {true, weighted, 0.7});
    compare(
        weighted ? "total, weighted mining" : "total, basic mining",
        [&](const Tensor& x) { return (loss::mask_loss(x, target, options).total * weights).mean(); }, z);
  }
}

void check_mask_loss(test::Checks& checks) {
  const auto [z, g] = random_masks();
  const auto once = loss::mask_loss(z, g);
  const Dict weights{{"focal_loss_weight", 2}, {"dice_loss_weight", 3}, {"boundary_loss_weight", 5}};
  const auto scaled = loss::mask_loss(z, g, mask_options(weights));
  checks.near("D14: focal weight is linear", term(scaled, "focal"), term(once, "focal") * 2, 1e-12);
  checks.near("dice weight is linear", term(scaled, "dice"), term(once, "dice") * 3, 1e-12);
  checks.near("D14: boundary weight is linear", term(scaled, "boundary"), term(once, "boundary") * 5, 1e-12);
  checks.near("total is the sum", scaled.total, scaled.terms.sum(1), 1e-12);
  const auto dice_only =
      loss::mask_loss(z, g, mask_options({{"focal_loss_weight", 0}, {"dice_loss_weight", 3}, {"use_boundary_loss", false}}));
  checks.near("D14: terms can be off", dice_only.total, term(once, "dice") * 3, 1e-12);
  checks.holds("zeros for a term that is off",
               term(dice_only, "boundary").eq(0).all().item<bool>() && term(dice_only, "focal").eq(0).all().item<bool>());
  checks.throws("a weight below 0", "ERR_INVALID_ARGUMENT", [] { mask_options({{"dice_loss_weight", -1}}); });
  checks.throws("gamma below 0", "ERR_INVALID_ARGUMENT", [] { mask_options({{"focal_gamma", -1}}); });
  checks.throws("smooth of 0", "ERR_INVALID_ARGUMENT", [] { mask_options({{"dice_smooth", 0}}); });

  for (double size : {50.0, 500.0, 1e4}) {
    for (auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
      const auto steep = (g.mul(2).sub(1) * size * at::tensor({1.0, -1.0, 0.5}).view({3, 1, 1})).to(dtype);
      const auto options = mask_options({{"focal_gamma", 0.5}});
      const auto gradient =
          test::analytic_gradient(steep, [&](const Tensor& x) { return loss::mask_loss(x, g, options).total.sum(); });
      checks.holds("finite at " + std::to_string(size) + " in " + c10::toString(dtype),
                   at::isfinite(gradient).all().item<bool>() && gradient.scalar_type() == dtype);
    }
  }
  checks.holds("no prompts", loss::mask_loss(at::zeros({0, 4, 4}), at::zeros({0, 4, 4})).total.numel() == 0);
  checks.throws("shapes differ", "ERR_INVALID_ARGUMENT", [] { loss::mask_loss(at::zeros({1, 4, 4}), at::zeros({1, 4, 5})); });
}

// Ignored pixels: what is drawn there changes nothing, and the rest is as if the image ended before them.
void check_ignored(test::Checks& checks) {
  const auto [z, g] = random_masks();
  auto ignored = at::zeros({3, 5, 6}, at::kByte);
  ignored.select(0, 0).slice(1, 3, 6).fill_(1);  // of the first mask the right half
  ignored.select(0, 1).slice(0, 2, 3).fill_(1);  // of the second a row
  const auto hidden = ignored.to(at::kBool);
  const auto other = at::where(hidden, at::full_like(z, 9.0), z);
  const auto lie = at::where(hidden, 1 - g, g);
  const loss::MaskLossOptions options;
  const auto once = loss::mask_loss(z, g, options, ignored), again = loss::mask_loss(other, lie, options, ignored);
  checks.near("ignored: focal does not see them", term(once, "focal"), term(again, "focal"), 0);
  checks.near("ignored: dice does not see them", term(once, "dice"), term(again, "dice"), 1e-15);
  checks.near("ignored: boundary does not see them", term(once, "boundary"), term(again, "boundary"), 1e-15);
  const auto half = [](const Tensor& x) { return x.narrow(0, 0, 1).slice(2, 0, 3).contiguous(); };
  checks.near("ignored: focal of the rest", term(once, "focal")[0], single_loss("focal", half(z), half(g))[0], 1e-15);
  checks.near("ignored: dice of the rest", term(once, "dice")[0], single_loss("dice", half(z), half(g))[0], 1e-15);
  // Of the left three columns the third one's windows meet the ignored ones; of the other two the edges are the whole image's.
  auto edges = [](const Tensor& x) {
    const auto plane = at::constant_pad_nd(x.narrow(0, 0, 1), {1, 1, 1, 1}, 0).unsqueeze(0);
    const auto across = at::tensor({-1., 0., 1., -2., 0., 2., -1., 0., 1.}).view({1, 1, 3, 3});
    return (at::conv2d(plane, across).square() + at::conv2d(plane, across.transpose(2, 3)).square() + 1e-6).sqrt()[0][0];
  };
  const auto by_hand = (edges(z.sigmoid()) - edges(g)).abs().slice(1, 0, 2).mean();
  checks.near("ignored: boundary of the rest", term(once, "boundary")[0], by_hand, 1e-14);

  const auto scale = at::tensor({1.0, -2.0, 3.0});
  for (const auto& mask : {ignored, ignored.narrow(0, 0, 1)}) {
    const auto of_logits = [&](const Tensor& x) { return loss::mask_loss(x, g, options, mask).total.dot(scale); };
    const auto gradient = test::analytic_gradient(z, of_logits);
    const auto name = std::string("d ignored, ") + (mask.size(0) == 1 ? "one mask for all" : "a mask each");
    checks.near(name, gradient, test::numeric_gradient(z, of_logits), 2e-8);
    checks.holds(name + ": none there", gradient.masked_select(mask.to(at::kBool).expand_as(z)).eq(0).all().item<bool>());
  }
  const auto none = loss::mask_loss(z, g, options, at::zeros_like(ignored));
  checks.near("nothing ignored is the plain loss", none.total, loss::mask_loss(z, g, options).total, 1e-14);
  const auto all = loss::mask_loss(z, g, options, at::ones_like(ignored));
  checks.holds("all ignored costs nothing", all.total.abs().max().item<double>() < 1e-12);
  checks.throws("ignored of another shape", "ERR_INVALID_ARGUMENT", [&, z = z, g = g] {
    loss::mask_loss(z, g, options, at::zeros({2, 5, 6}));
  });
}

loss::Targets two_cells() { return {at::tensor({.52, .48, .2, .25, .75, .7, .3, .2}).view({2, 4}), at::zeros({2}, at::kLong)}; }

void check_detection(test::Checks& checks) {
  const auto logits = at::tensor({2., -2., -1., 0., .5, -3.}).view({1, 3, 2});
  const auto boxes = at::tensor({.5, .5, .2, .2, .2, .3, .1, .2, .8, .7, .3, .3}).view({1, 3, 4});
  const auto found = loss::detection_loss({logits}, {boxes}, {two_cells()});
  checks.near("detection ce", found.ce.item<double>(), .082869, 1e-6);
  checks.near("detection bbox", found.bbox.item<double>(), .12 * 5, 1e-6);
  checks.near("detection giou", found.giou.item<double>(), .449567 * 2, 2e-6);
  checks.near("detection total", found.total.item<double>(), 1.582003, 2e-6);
  checks.near("class error", found.class_error, 0, 0);
  const auto pairs = loss::match(logits[0], boxes[0], two_cells());
  checks.holds("match", pairs.source.equal(at::tensor({0, 2}, at::kLong)) && pairs.target.equal(at::tensor({0, 1}, at::kLong)));
  const auto swapped = loss::detection_loss({-logits}, {boxes}, {two_cells()});
  checks.near("class error of wrong answers", swapped.class_error, 100, 0);

  // Two layers and two images, one of them empty; the matching stays the same under so small a step.
  at::manual_seed(3);
  const auto z = at::randn({2, 2, 4, 2}, at::kDouble), b = at::rand({2, 2, 4, 4}, at::kDouble) * 0.5 + 0.2;
  const std::vector<loss::Targets> targets = {two_cells(), {at::zeros({0, 4}), at::zeros({0}, at::kLong)}};
  auto total = [&](const Tensor& logits, const Tensor& boxes) {
    return loss::detection_loss(logits.unbind(0), boxes.unbind(0), targets).total;
  };
  auto of_logits = [&](const Tensor& x) { return total(x, b); };
  auto of_boxes = [&](const Tensor& x) { return total(z, x); };
  checks.near("d detection, logits", test::analytic_gradient(z, of_logits), test::numeric_gradient(z, of_logits), 1e-7);
  checks.near("d detection, boxes", test::analytic_gradient(b, of_boxes), test::numeric_gradient(b, of_boxes), 1e-7);

  auto broken = logits.clone();
  broken[0][1][0] = NAN;
  const auto detail =
      checks.throws("NaN logits", "ERR_NON_FINITE_COST", [&] { loss::detection_loss({broken}, {boxes}, {two_cells()}); });
  checks.holds("the query is named", detail.contains("query") && *detail.at("query").as<double>() == 1);
  auto foreign = two_cells();
  foreign.labels[1] = 2;
  checks.throws("label out of range", "ERR_INVALID_ARGUMENT", [&] { loss::detection_loss({logits}, {boxes}, {foreign}); });
}

// Four queries, one matched; the others lie inside, half inside and outside of an ignored region.
void check_ignored_queries(test::Checks& checks) {
  auto region = at::zeros({8, 8}, at::kByte);
  region.slice(1, 0, 4).fill_(1);  // the left half
  const loss::IgnoredRegion lookup(region);
  checks.near("share inside", lookup.share(.2, .5, .2, .4), 1, 1e-12);
  checks.near("share of parts of pixels", lookup.share(.46, .33, .16, .21), 0.75, 1e-12);
  checks.near("share of a box that sticks out counts what is inside", lookup.share(0, .5, .8, .2), 1, 1e-12);
  checks.near("share outside of the image", lookup.share(1.5, .5, .2, .2) + lookup.share(-1, -1, .1, .1), 0, 0);
  checks.near("share of a box without area", lookup.share(.2, .5, 0, .3), 0, 0);
  checks.near("share of everything", lookup.share(.5, .5, 1, 1), 0.5, 1e-12);

  const auto logits = at::tensor({1., -1., .5, .2, -.3, .7, 2., .1}, at::kDouble).view({1, 4, 2});
  const auto boxes =
      at::tensor({.7, .5, .2, .2, .2, .5, .2, .2, .5, .5, .25, .2, .53, .5, .2, .2}, at::kDouble).view({1, 4, 4});
  const loss::Targets plain{at::tensor({.7, .5, .2, .2}).view({1, 4}), at::zeros({1}, at::kLong)};
  auto target = plain;
  target.ignored = region;
  // Query 0 is matched, 1 lies inside and 2 exactly half: both are left out; 3 lies 0.35 inside and counts.
  auto positive = at::zeros({4, 2}, at::kDouble);
  positive[0][0] = 1;
  const auto entropy = at::binary_cross_entropy_with_logits(logits[0], positive, {}, {}, at::Reduction::None);
  const auto elements = ((0.75 - 0.5 * positive) * (positive - logits[0].sigmoid()).square() * entropy).sum(1);
  const auto expected = (elements[0] + elements[3]).item<double>();
  const auto found = loss::detection_loss({logits}, {boxes}, {target});
  checks.near("unmatched queries in an ignored region are left out", found.ce.item<double>(), expected, 1e-12);
  const auto full = loss::detection_loss({logits}, {boxes}, {plain});
  checks.near("and count without it", full.ce.item<double>(), elements.sum().item<double>(), 1e-12);
  checks.near("boxes are not touched", (found.bbox + found.giou).item<double>(), (full.bbox + full.giou).item<double>(), 0);
  auto everywhere = plain;
  everywhere.ignored = at::ones({8, 8}, at::kByte);
  checks.near("a matched query always counts", loss::detection_loss({logits}, {boxes}, {everywhere}).ce.item<double>(),
              elements[0].item<double>(), 1e-12);
  // Two layers, two images, the second without a region.
  const auto two = at::stack({logits[0], logits[0]}), two_boxes = at::stack({boxes[0], boxes[0]});
  auto of_logits = [&](const Tensor& x) {
    return loss::detection_loss({x, x * 0.5}, {two_boxes, two_boxes}, {target, plain}).total;
  };
  checks.near("d detection, ignored", test::analytic_gradient(two, of_logits), test::numeric_gradient(two, of_logits), 1e-7);
  const auto gradient = test::analytic_gradient(two, of_logits);
  checks.holds("none where left out",
               gradient[0].slice(0, 1, 3).eq(0).all().item<bool>() && gradient[1].ne(0).all().item<bool>());
}

}  // namespace

TEST_PROGRAM(losses) {
  Checks checks("losses");
  check_vectors(checks);
  check_mining(checks);
  check_gradients(checks);
  check_mask_loss(checks);
  check_detection(checks);
  check_ignored(checks);
  check_ignored_queries(checks);
  return checks.finish();
}

}  // namespace cellsam::test::losses_program
