// Tiles of an image several at a time: the bits of one after another, and one error for all.
#include <ATen/ATen.h>

#include <atomic>
#include <limits>

#include "base/workers.h"
#include "infer/box_mask_iou.h"
#include "infer/candidates.h"
#include "infer/predict.h"
#include "native/checks.h"
#include "native/open_options.h"
#include "native/program.h"

namespace cellsam::test::infer_at_once_program {

using namespace cellsam::infer;

namespace {

model::CellSam small_model() {
  at::manual_seed(3);
  auto model = model::CellSam(model::model_size("tiny", Dict{{"image_size", 64}, {"num_queries", 16}}), false);
  model->eval();
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(false);
  return model;
}

bool same(const Prediction& a, const Prediction& b) {
  return a.labels.equal(b.labels) && a.scores.equal(b.scores) && a.boxes.equal(b.boxes) && a.ious.equal(b.ious) &&
         a.source.equal(b.source);
}

bool same(const Candidates& a, const Candidates& b, const PredictOptions& options) {
  bool all = a.tiles.size() == b.tiles.size();
  for (std::size_t i = 0; all && i < a.tiles.size(); ++i) {
    const auto &one = a.tiles[i], &other = b.tiles[i];
    all = one.threshold == other.threshold && one.floor == other.floor && one.instances.size() == other.instances.size();
  }
  return all && same(assemble(a, std::nullopt, options), assemble(b, std::nullopt, options));
}

}  // namespace

TEST_PROGRAM(infer_at_once) {
  Checks checks("infer_at_once");
  at::set_num_threads(1);
  auto model = small_model();
  at::manual_seed(5);
  const auto image = (at::rand({3, 80, 150}) * 255).to(at::kByte);
  const auto boxes = at::tensor({5., 5., 20., 20., 60., 10., 85., 45., 30., 20., 145., 75.}, at::kDouble).view({3, 4});
  auto labels = at::zeros({80, 150}, at::kInt);
  labels.slice(0, 5, 30).slice(1, 7, 28).fill_(7);
  labels.slice(0, 50, 78).slice(1, 90, 149).fill_(300);
  auto options = open_options();
  options.tile_size = 32;

  const auto found = predict(model, image, options), boxed = predict(model, image, options, boxes);
  const auto candidates = find_candidates(model, image, options);
  const auto ious = box_mask_iou(model, image, labels, options);
  checks.holds("several tiles and something in them", candidates.tiles.size() > 10 && found.scores.numel() > 0);
  for (const int threads : {1, 2, 3}) {
    Workers workers(threads, [] { at::set_num_threads(1); });
    const Each each = [&](std::int64_t count, const auto& body) {
      workers.for_each(count, [&](std::int64_t tile) {
        at::NoGradGuard no_grad;
        body(tile);
      });
    };
    const auto name = std::to_string(threads) + " threads: ";
    checks.holds(name + "the same cells", same(predict(model, image, options, std::nullopt, {}, each), found));
    checks.holds(name + "the same cells of boxes", same(predict(model, image, options, boxes, {}, each), boxed));
    checks.holds(name + "the same candidates", same(find_candidates(model, image, options, {}, {}, each), candidates, options));
    checks.holds(name + "the same IoU", box_mask_iou(model, image, labels, options, {}, each).ious.equal(ious.ious));
    std::atomic<int> asked{0};
    const auto stop = [&] { return ++asked > 4; };
    checks.throws(name + "cancelled", "ERR_CANCELLED", [&] { predict(model, image, options, std::nullopt, stop, each); });
    checks.holds(name + "and soon", asked <= 4 + 2 * threads);
  }
  at::NoGradGuard no_grad;
  for (auto& parameter : model->cellfinder->parameters()) parameter.fill_(std::numeric_limits<float>::quiet_NaN());
  Workers workers(3, [] {});
  const Each each = [&](std::int64_t count, const auto& body) { workers.for_each(count, body); };
  checks.throws("damaged weights", "ERR_NON_FINITE", [&] { predict(model, image, options, std::nullopt, {}, each); });
  return checks.finish();
}

}  // namespace cellsam::test::infer_at_once_program
