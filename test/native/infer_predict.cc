// Inference of a small untrained model: what must be true for any weights. Case 11 of test/parity compares numbers.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "device/device.h"
#include "infer/box_mask_iou.h"
#include "infer/candidates.h"
#include "infer/predict.h"
#include "native/checks.h"
#include "native/limited_allocator.h"
#include "native/open_options.h"
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

void check_consistent(test::Checks& checks, const std::string& name, const Prediction& prediction) {
  const auto n = prediction.scores.numel();
  checks.holds(name + ": one row per id", prediction.labels.max().item<std::int64_t>() == n && prediction.boxes.size(0) == n &&
                                              prediction.ious.numel() == n && prediction.source.numel() == n);
  for (std::int64_t id = 1; id <= n; ++id)
    checks.holds(name + ": id " + std::to_string(id), prediction.labels.eq(id).any().item<bool>());
  if (n > 1) checks.holds(name + ": falling scores", prediction.scores.diff().le(0).all().item<bool>());
}

// The same cells up to rounding, tile by tile; of two whose scores differ by rounding alone, either may come first.
bool same_cells(const Candidates& got, const Candidates& expected) {
  const auto same = [](const Instance& a, const Instance& b) {
    for (std::size_t side = 0; side < 4; ++side) {
      if (std::abs(a.box[side] - b.box[side]) > 1e-3) return false;
    }
    const auto shared = intersection_area(a.mask, b.mask), either = area(a.mask) + area(b.mask) - shared;
    return std::abs(a.score - b.score) < 1e-5 && std::abs(a.iou - b.iou) < 1e-4 && shared >= either - 1 - either / 100;
  };
  if (got.tiles.size() != expected.tiles.size()) return false;
  for (std::size_t i = 0; i < got.tiles.size(); ++i) {
    const auto &found = got.tiles[i].instances, &wanted = expected.tiles[i].instances;
    if (!std::is_permutation(found.begin(), found.end(), wanted.begin(), wanted.end(), same)) return false;
  }
  return true;
}

// Tiles in batches of any size give the same cells, by the detector and by boxes of the user, in both forms of the mask
// decoder.
void batches_of_tiles(Checks& checks, model::CellSam& model, const at::Tensor& image, const at::Tensor& boxes,
                      const at::Tensor& labels) {
  auto options = open_options();
  options.mask_threshold = 0.5;  // between the pixels of an untrained model's masks
  options.tile_size = 32;
  for (const bool factored : {true, false}) {
    options.factored_decoder = factored;
    options.tile_batch = 1;
    options.prompt_chunk = 0;
    const auto one = find_candidates(model, image, options);
    const auto one_prompted = predict(model, image, options, boxes);
    const auto one_iou = box_mask_iou(model, image, labels, options).ious;
    std::int64_t tiles = 0;
    for (const auto& tile : one.tiles) tiles += tile.instances.size() > 4;
    checks.holds("cells in several tiles", tiles > 5);
    for (const std::int64_t batch : {2, 5, 100}) {
      options.tile_batch = batch;
      options.prompt_chunk = batch == 5 ? 7 : 0;  // chunks that begin and end within a tile's prompts
      const auto name = std::to_string(batch) + " tiles at once, " + (factored ? "factored" : "plain") + ": ";
      checks.holds(name + "the same cells", same_cells(find_candidates(model, image, options), one));
      const auto prompted = predict(model, image, options, boxes);
      checks.holds(name + "the same boxes", prompted.source.equal(one_prompted.source));
      checks.near(name + "their IoU", prompted.ious, one_prompted.ious, 1e-4);
      checks.near(name + "IoU of true boxes", box_mask_iou(model, image, labels, options).ious, one_iou, 0.01);
    }
  }
}

// NaN in one tile of several, from a pixel of the image that is NaN.
void damaged_tile(Checks& checks, model::CellSam& model, const at::Tensor& image, const at::Tensor& boxes) {
  auto damaged = image.to(at::kFloat) / 255;
  damaged[0][25][70] = std::numeric_limits<float>::quiet_NaN();
  auto options = open_options();
  options.tile_size = 32;
  for (const std::int64_t batch : {1, 3, 100}) {
    options.tile_batch = batch;
    const auto name = "NaN in one tile, " + std::to_string(batch) + " at once";
    checks.throws(
        name, "ERR_NON_FINITE", [&] { predict(model, damaged, options); }, "detection scores");
    checks.throws(
        name, "ERR_NON_FINITE", [&] { predict(model, damaged, options, boxes); }, "predicted IoU");
  }
}

// Too little memory for a batch of tiles or a chunk of prompts: half of them, from then on, with the same result.
void out_of_memory(Checks& checks, model::CellSam& model, const at::Tensor& image) {
  auto& allocator = limited_allocator();
  auto options = open_options();
  options.tile_size = 32;
  options.factored_decoder = false;
  const auto largest = [&](std::int64_t tiles, std::int64_t prompts) {
    auto known = options;
    known.tile_batch = tiles;
    known.prompt_chunk = prompts;
    allocator.largest = 0;
    predict(model, image, known);
    return allocator.largest.load();
  };
  const auto expected = predict(model, image, options);
  struct Case {
    const char* name;
    std::int64_t tiles, prompts, fewer_tiles, fewer_prompts;
  };
  // With one prompt at once the tiles take most of the memory, with one tile the prompts.
  for (const auto& [name, tiles, prompts, fewer_tiles, fewer_prompts] :
       {Case{"tiles", 8, 1, 4, 1}, Case{"prompts", 1, 16, 1, 8}}) {
    for (const bool as_device : {false, true}) {
      allocator.as_device = as_device;
      const auto enough = largest(fewer_tiles, fewer_prompts);
      checks.holds(std::string("more ") + name + " take more memory", enough < largest(tiles, prompts));
      auto given = options;
      given.tile_batch = tiles;
      given.prompt_chunk = prompts;
      given.limits = std::make_shared<BatchLimits>();
      allocator.refused = 0;
      allocator.limit = enough;
      const auto got = predict(model, image, given);
      const auto refused = allocator.refused.load();
      predict(model, image, given);
      allocator.limit = SIZE_MAX;
      checks.holds(std::string("fewer ") + name + " at once",
                   refused > 0 && std::min<std::int64_t>(tiles, given.limits->tiles) == fewer_tiles &&
                       std::min<std::int64_t>(prompts, given.limits->prompts) == fewer_prompts);
      checks.holds(std::string(name) + ": the next image knows it", allocator.refused == refused);
      checks.near(std::string("fewer ") + name + " at once, labels, share of pixels",
                  got.labels.ne(expected.labels).to(at::kDouble).mean().item<double>(), 1e-3);
    }
  }
  bool failed = false;
  allocator.limit = 2000;
  try {
    predict(model, image, options);
  } catch (const c10::Error& error) {
    failed = device::is_out_of_memory(error);
  }
  allocator.limit = SIZE_MAX;
  checks.holds("too little for a single tile is an error", failed);
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

  batches_of_tiles(checks, model, image, boxes, labels);
  damaged_tile(checks, model, image, boxes);
  out_of_memory(checks, model, image);

  checks.throws("grey image", "ERR_INVALID_ARGUMENT", [&] { predict(model, image.narrow(0, 0, 1), options); });
  checks.throws("inverted box", "ERR_INVALID_ARGUMENT", [&] { predict(model, image, options, -boxes); });
  checks.throws("cancelled", "ERR_CANCELLED", [&] { predict(model, image, options, std::nullopt, [] { return true; }); });
  at::NoGradGuard no_grad;
  for (auto& parameter : model->cellfinder->parameters()) parameter.fill_(std::numeric_limits<float>::quiet_NaN());
  checks.throws("damaged weights", "ERR_NON_FINITE", [&] { predict(model, image, options); });
  return checks.finish();
}

}  // namespace cellsam::test::infer_predict_program
