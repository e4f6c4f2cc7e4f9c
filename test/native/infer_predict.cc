// Inference of a small untrained model: what must be true for any weights. Case 11 of test/parity compares numbers.
#include <ATen/ATen.h>

#include <limits>

#include "infer/box_mask_iou.h"
#include "infer/predict.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::infer_predict_program {

using namespace cellsam::infer;

namespace {

model::CellSam small_model() {
  at::manual_seed(3);
  auto model = model::CellSam(model::model_size("tiny", Dict{{"image_size", 64}, {"patch", 8}, {"num_queries", 16}}), false);
  model->eval();
  return model;
}

// No thresholds, as scores of an untrained model mean nothing.
PredictOptions open_options() {
  PredictOptions options;
  options.adaptive_threshold = false;
  options.bbox_threshold = 0;
  options.iou_threshold = -std::numeric_limits<double>::infinity();
  options.mask_threshold = 0.01;
  options.min_area = 1;
  options.min_visible = 0;
  options.overlap = OverlapRule::Official;
  return options;
}

void check_consistent(test::Checks& checks, const std::string& name, const Prediction& prediction) {
  const auto n = prediction.scores.numel();
  checks.holds(name + ": one row per id", prediction.labels.max().item<std::int64_t>() == n && prediction.boxes.size(0) == n &&
                                              prediction.ious.numel() == n && prediction.source.numel() == n);
  for (std::int64_t id = 1; id <= n; ++id)
    checks.holds(name + ": id " + std::to_string(id), prediction.labels.eq(id).any().item<bool>());
  if (n > 1) checks.holds(name + ": falling scores", prediction.scores.diff().le(0).all().item<bool>());
}

}  // namespace

TEST_PROGRAM(infer_predict) {
  Checks checks("infer_predict");
  auto model = small_model();
  at::manual_seed(5);
  const auto image = (at::rand({3, 50, 90}) * 255).to(at::kByte);
  const auto options = open_options();

  const auto whole = predict(model, image, options);
  check_consistent(checks, "whole", whole);
  checks.holds("something is found", whole.scores.numel() > 0);
  checks.holds("no graph is kept", !whole.scores.requires_grad());
  auto chunked = options;
  chunked.prompt_chunk = 1;
  checks.holds("the size of prompt chunks has no effect", predict(model, image, chunked).labels.equal(whole.labels));

  auto tiled = options;
  tiled.tile_size = 32;
  check_consistent(checks, "tiled", predict(model, image, tiled));
  tiled.tile_size = 256;
  check_consistent(checks, "one padded tile", predict(model, image, tiled));

  auto strict = options;
  strict.bbox_threshold = 1;
  for (const auto& empty : {predict(model, image, strict), predict(model, at::zeros_like(image), options),
                            predict(model, image, options, at::zeros({0, 4}))}) {
    checks.holds("nothing found is an empty map", empty.labels.sizes() == at::IntArrayRef({50, 90}) &&
                                                      empty.labels.eq(0).all().item<bool>() && empty.scores.numel() == 0 &&
                                                      empty.boxes.sizes() == at::IntArrayRef({0, 4}));
  }

  const auto boxes = at::tensor({5., 5., 20., 20., 60., 10., 85., 45., 30., 20., 45., 40.}, at::kDouble).view({3, 4});
  for (const std::int64_t tile_size : {0, 32}) {
    auto by_user = options;
    by_user.tile_size = tile_size;
    const auto prompted = predict(model, image, by_user, boxes);
    check_consistent(checks, "user boxes", [&] {
      auto unordered = prompted;
      unordered.scores = at::zeros_like(prompted.scores);
      return unordered;
    }());
    checks.near("a row has the box of its source", prompted.boxes, boxes.index_select(0, prompted.source), 1e-12);
    checks.near("its score is the predicted IoU", prompted.scores, prompted.ious, 0);
  }
  auto labels = at::zeros({50, 90}, at::kInt);
  labels.narrow(0, 5, 15).narrow(1, 5, 15).fill_(7);
  labels.narrow(0, 10, 35).narrow(1, 60, 25).fill_(300);
  for (const std::int64_t tile_size : {0, 32}) {
    auto by_box = options;
    by_box.tile_size = tile_size;
    const auto result = box_mask_iou(model, image, labels, by_box);
    checks.holds("ids as given", result.ids.equal(at::tensor({7, 300}, at::kInt)));
    checks.holds("IoU in 0..1", result.ious.ge(0).all().item<bool>() && result.ious.le(1).all().item<bool>());
    by_box.prompt_chunk = 1;
    checks.near("the size of chunks has no effect", box_mask_iou(model, image, labels, by_box).ious, result.ious, 1e-9);
  }
  // Independent of box_mask_iou: the mask that predict gives for the same box, against the instance.
  auto alone = options;
  const auto single = predict(model, image, alone, boxes.narrow(0, 0, 1)).labels.gt(0);
  const auto truth = labels.eq(7);
  const double iou = single.logical_and(truth).sum().item<double>() / single.logical_or(truth).sum().item<double>();
  checks.near("the IoU of predict's mask", box_mask_iou(model, image, labels, options).ious[0].item<double>(), iou, 0.02);
  checks.holds("no instances", box_mask_iou(model, image, at::zeros_like(labels), options).ious.numel() == 0);

  checks.throws("grey image", "ERR_INVALID_ARGUMENT", [&] { predict(model, image.narrow(0, 0, 1), options); });
  checks.throws("inverted box", "ERR_INVALID_ARGUMENT", [&] { predict(model, image, options, -boxes); });
  checks.throws("cancelled", "ERR_CANCELLED", [&] { predict(model, image, options, std::nullopt, [] { return true; }); });
  at::NoGradGuard no_grad;
  for (auto& parameter : model->cellfinder->parameters()) parameter.fill_(std::numeric_limits<float>::quiet_NaN());
  checks.throws("damaged weights", "ERR_NON_FINITE", [&] { predict(model, image, options); });
  return checks.finish();
}

}  // namespace cellsam::test::infer_predict_program
