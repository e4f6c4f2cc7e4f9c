// Masks, overlap rules, box suppression and stitching, on synthetic cells with known results.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "infer/bit_mask.h"
#include "infer/full_masks.h"
#include "infer/overlap.h"
#include "infer/postprocess.h"
#include "infer/stitch.h"
#include "metric/average_precision.h"
#include "native/checks.h"
#include "native/postprocess_masks.h"
#include "native/program.h"

namespace cellsam::test::infer_instances_program {

using namespace cellsam::infer;

namespace {

// The mask of the non-zero pixels of `full` (u8 or bool [H,W]), moved by (dx, dy).
Mask mask_of(const at::Tensor& full, std::int64_t dx = 0, std::int64_t dy = 0) {
  const auto bits = full.to(at::kBool).contiguous();
  std::vector<Run> runs;
  for (std::int64_t y = 0; y < bits.size(0); ++y) {
    append_runs(runs, static_cast<const std::uint8_t*>(bits[y].const_data_ptr()), bits.size(1), dx, y + dy);
  }
  return from_runs(std::move(runs));
}

Instance rectangle(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, double score) {
  const auto mask = mask_of(at::ones({height, width}, at::kByte), x, y);
  return {mask, score, 1, {double(x), double(y), double(x + width), double(y + height)}, -1};
}

// A frame of one pixel around a hole.
Instance frame(std::int64_t x, std::int64_t y, std::int64_t side, double score) {
  auto instance = rectangle(x, y, side, side, score);
  auto full = at::ones({side, side}, at::kByte);
  full.narrow(0, 1, side - 2).narrow(1, 1, side - 2).zero_();
  instance.mask = mask_of(full, x, y);
  return instance;
}

void masks(test::Checks& checks) {
  auto full = at::zeros({6, 8}, at::kByte);
  full.narrow(0, 2, 3).narrow(1, 1, 4).fill_(1);
  const auto mask = mask_of(full, 100, 10);
  checks.holds("a cropped mask is tight and moved", mask.window.x == 101 && mask.window.y == 12 && mask.window.width == 4 &&
                                                        mask.window.height == 3 && area(mask) == 12);
  checks.holds("an empty mask has no window", mask_of(at::zeros({4, 4}, at::kByte)).empty());
  const auto a = rectangle(0, 0, 4, 4, 1).mask, b = rectangle(2, 3, 4, 4, 1).mask;
  checks.holds("intersection area", intersection_area(a, b) == 2 && area(unite(a, b)) == 30);
  checks.holds("clipping is tight", clip(unite(a, b), {4, 0, 9, 9}).window.y == 3);

  auto ring = to_bits(frame(0, 0, 5, 1).mask);
  fill_holes(ring);
  checks.holds("a hole is filled", area(ring) == 25);
  auto open = to_bits(frame(0, 0, 5, 1).mask);
  open.bits[2] = 0;
  fill_holes(open);
  checks.holds("a bay is no hole", area(open) == 15);
  auto diagonal = to_bits(frame(0, 0, 5, 1).mask);
  diagonal.bits[0] = 0;
  fill_holes(diagonal);
  checks.holds("background does not pass diagonally", area(diagonal) == 24);
}

// The unset pixels that are no holes: those at the edge, and repeatedly their unset neighbours.
at::Tensor outside_of(const at::Tensor& set) {
  auto outside = at::zeros_like(set);
  for (const auto& side : {outside.select(0, 0), outside.select(0, -1), outside.select(1, 0), outside.select(1, -1)})
    side.fill_(1);
  outside.logical_and_(set.logical_not());
  for (std::int64_t before = -1, now = 0; now != before; now = outside.sum().item<std::int64_t>()) {
    before = outside.sum().item<std::int64_t>();
    auto grown = outside.clone();
    for (const std::int64_t axis : {0, 1}) {
      const auto rest = set.size(axis) - 1;
      grown.narrow(axis, 0, rest).logical_or_(outside.narrow(axis, 1, rest));
      grown.narrow(axis, 1, rest).logical_or_(outside.narrow(axis, 0, rest));
    }
    outside = grown.logical_and_(set.logical_not());
  }
  return outside;
}

void holes(test::Checks& checks) {
  at::manual_seed(8);
  const std::vector<std::tuple<std::int64_t, std::int64_t, double>> cases = {{40, 60, 0.6}, {40, 60, 0.45}, {9, 200, 0.5},
                                                                             {1, 30, 0.5},  {30, 1, 0.5},   {2, 2, 0.7}};
  for (const auto& [height, width, share] : cases) {
    const auto set = at::rand({height, width}).lt(share);
    BitMask bits{{0, 0, width, height}, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width))};
    for (std::size_t i = 0; i < bits.bits.size(); ++i) bits.bits[i] = set.flatten()[static_cast<std::int64_t>(i)].item<bool>();
    fill_holes(bits);
    const auto filled = at::tensor(at::ArrayRef<std::uint8_t>(bits.bits), at::kByte).view({height, width}).to(at::kBool);
    checks.holds("holes of noise, " + std::to_string(height) + " x " + std::to_string(width) + " at " + std::to_string(share),
                 filled.equal(outside_of(set).logical_not()));
  }
}

// Against postprocess_masks in float64: the same pixels, except where the logit equals the threshold up to rounding.
void full_size(test::Checks& checks) {
  at::manual_seed(9);
  const auto noise = at::randn({3, 64, 64}) * 3;
  const auto smooth = at::upsample_bicubic2d(at::randn({3, 1, 6, 6}) * 4 - 3, {64, 64}, false).squeeze(1);
  const auto slopes = at::stack({at::linspace(-4, 4, 64).expand({64, 64}),
                                 at::linspace(4, -4, 64).unsqueeze(1).expand({64, 64}), at::full({64, 64}, -50.0)});
  const std::vector<std::tuple<at::Tensor, double>> cases = {{noise, 0.4},  {smooth, 0.4}, {smooth, 0.99},
                                                             {slopes, 0.5}, {noise, 0.0},  {noise, 1.0}};
  for (const auto& size : {MaskSize{256, 128, 128}, MaskSize{256, 100, 181}, MaskSize{256, 256, 300}, MaskSize{256, 9, 20},
                           MaskSize{256, 1, 1}, MaskSize{64, 64, 64}, MaskSize{50, 70, 31}}) {
    for (const auto& [logits, threshold] : cases) {
      const auto wide = postprocess_masks(logits.to(at::kDouble).unsqueeze(1), size.canvas, {size.canvas, size.canvas},
                                          {size.height, size.width});
      const double level = std::log(threshold / (1 - threshold));
      const auto masks = full_masks(logits, size, threshold);
      bool same = masks.size() == 3, disjoint = same;  // no two runs overlap
      for (std::int64_t i = 0; same && i < 3; ++i) {
        const auto& mask = masks[static_cast<std::size_t>(i)];
        auto got = at::zeros({size.height, size.width}, at::kBool);
        for (const auto& run : mask.runs) got[run.y].narrow(0, run.x, run.end - run.x).fill_(1);
        const auto differs = got.ne(wide[i][0].gt(level)).logical_and((wide[i][0] - level).abs().gt(1e-5));
        same = !differs.any().item<bool>();
        disjoint = disjoint && area(mask) == got.sum().item<std::int64_t>();
      }
      checks.holds("a mask of " + std::to_string(size.height) + " x " + std::to_string(size.width) + " above " +
                       std::to_string(threshold),
                   same && disjoint);
    }
  }
  checks.holds("no masks", full_masks(noise.narrow(0, 0, 0), {256, 128, 128}, 0.4).empty());
}

void overlaps(test::Checks& checks) {
  PredictOptions options;
  const std::vector<Instance> pair = {rectangle(0, 0, 10, 10, 0.9), rectangle(6, 0, 10, 10, 0.5)};
  const auto best = resolve_overlaps(pair, 12, 20, options);
  checks.holds("the higher score keeps the pixels",
               best.labels[5][7].item<int>() == 1 && best.labels.eq(2).sum().item<int>() == 60);
  options.overlap = OverlapRule::Official;
  const auto official = resolve_overlaps(pair, 12, 20, options);
  checks.holds("with the official rule the lower score does",
               official.labels[5][7].item<int>() == 2 && official.labels.eq(1).sum().item<int>() == 60);
  options.overlap = OverlapRule::Score;

  // Only 2 of 10 columns of the second are visible, so it is dropped, and the third gets the pixels that it would have taken.
  const std::vector<Instance> hidden = {rectangle(0, 0, 10, 10, 0.9), rectangle(2, 0, 10, 10, 0.8),
                                        rectangle(10, 0, 8, 10, 0.7)};
  const auto visible = resolve_overlaps(hidden, 12, 20, options);
  checks.holds("a hidden cell is dropped", visible.kept == std::vector<std::int64_t>{0, 2});
  checks.holds("its pixels are free", visible.labels.eq(2).sum().item<int>() == 80);
  options.min_visible = 0;
  options.min_area = 20;
  checks.holds("20 pixels are enough for min_area 20", resolve_overlaps(hidden, 12, 20, options).kept.size() == 3);
  options.min_area = 21;
  checks.holds("min_area counts what is left",
               resolve_overlaps(hidden, 12, 20, options).kept == std::vector<std::int64_t>{0, 2});

  options = {};
  // A dumbbell whose bar belongs to a better cell: its larger end stays, the other one is free. And a mask with an island.
  const std::vector<Instance> dumbbell = {rectangle(8, 0, 4, 12, 0.9), rectangle(0, 3, 18, 6, 0.8)};
  options.min_visible = 0.4;
  const auto cut = resolve_overlaps(dumbbell, 12, 20, options);
  checks.holds("a part that a better cell cuts off is removed",
               cut.labels.eq(2).sum().item<int>() == 48 && cut.labels[4][15].item<int>() == 0);
  auto island = rectangle(0, 0, 10, 10, 0.9);
  island.mask = unite(island.mask, rectangle(15, 10, 2, 2, 0.9).mask);
  const auto whole = resolve_overlaps({island}, 12, 20, options);
  checks.holds("islands are removed", whole.labels.sum().item<int>() == 100 && whole.labels[11][16].item<int>() == 0);
  options.largest_piece = false;
  checks.holds("islands stay with largest_piece = false",
               resolve_overlaps({island}, 12, 20, options).labels.sum().item<int>() == 104);

  options = {};
  const std::vector<Instance> nested = {frame(0, 0, 12, 0.9), rectangle(3, 3, 6, 6, 0.8)};
  checks.holds("a better cell, with its hole filled, hides a cell in the hole",
               resolve_overlaps(nested, 12, 12, options).kept.size() == 1);
  std::vector<Instance> grid;
  for (int i = 0; i < 300; ++i) grid.push_back(rectangle(i % 20 * 7, i / 20 * 7, 6, 6, 1 - i / 400.0));
  const auto many = resolve_overlaps(grid, 105, 140, options);
  checks.holds("D34: 300 cells keep 300 ids", many.kept.size() == 300 && many.labels.max().item<int>() == 300 &&
                                                  many.labels[104 - 1][139 - 1].item<int>() == 300);
  checks.holds("no instances give an empty map", resolve_overlaps({}, 5, 5, options).labels.eq(0).all().item<bool>());

  const auto boxes = at::tensor({0., 0., 10., 10., 1., 0., 11., 10., 20., 0., 30., 10.}, at::kDouble).view({3, 4});
  checks.holds("IoU 9/11 falls to 0.8", suppress_boxes(boxes, 0.8).equal(at::tensor({0, 2}, at::kLong)));
  checks.holds("IoU 9/11 stands at 0.82", suppress_boxes(boxes, 0.82).numel() == 3);
  checks.holds("1 is off", suppress_boxes(at::cat({boxes, boxes}), 1).numel() == 6);
}

// Ellipses with random axes that do not touch; some are longer than the overlap of two tiles.
at::Tensor random_cells(std::int64_t height, std::int64_t width, std::uint64_t seed) {
  CounterRng rng{seed};
  auto labels = at::zeros({height, width}, at::kInt);
  const auto ys = at::arange(height, at::kDouble).unsqueeze(1), xs = at::arange(width, at::kDouble);
  int id = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const double a = 4 + 36 * rng.uniform() * rng.uniform(), b = 4 + 12 * rng.uniform(), turn = 3.14159 * rng.uniform();
    const auto x = xs - rng.uniform() * double(width), y = ys - rng.uniform() * double(height);
    const auto u = (x * std::cos(turn) + y * std::sin(turn)) / a, v = (y * std::cos(turn) - x * std::sin(turn)) / b;
    const auto cell = (u * u + v * v).lt(1), around = (u * u + v * v).lt(1.5);
    if (cell.sum().item<int>() < 30 || labels.masked_select(around).gt(0).any().item<bool>()) continue;
    labels.masked_fill_(cell, ++id);
  }
  return labels;
}

// The detections of a perfect detector in one tile: the visible part of every cell, with a score that differs between tiles.
std::vector<Instance> perfect_answer(const at::Tensor& labels, const Window& tile, CounterRng& rng) {
  const auto seen = cut_tile(labels.unsqueeze(0), tile)[0];
  std::vector<Instance> found;
  for (int id = 1; id <= labels.max().item<int>(); ++id) {
    Instance instance;
    instance.mask = mask_of(seen.eq(id), tile.x, tile.y);
    instance.score = rng.uniform();
    if (!instance.mask.empty()) found.push_back(instance);
  }
  return found;
}

void stitching(test::Checks& checks) {
  const std::vector<std::array<std::int64_t, 2>> sizes = {{200, 260}, {64, 64}, {40, 30}, {97, 150}, {65, 64}};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [height, width] = sizes[i];
    const auto name = std::to_string(height) + " x " + std::to_string(width);
    const auto labels = random_cells(height, width, i);
    const auto grid = tile_grid(height, width, 64, 0.25);
    CounterRng rng{99, i};
    std::vector<std::vector<Instance>> found;
    std::size_t pieces = 0;
    for (const auto& tile : grid.tiles) found.push_back(perfect_answer(labels, tile, rng));
    for (const auto& part : found) pieces += part.size();
    const auto joined = stitch(grid, found);
    PredictOptions options;
    options.min_area = 1;
    const auto resolved = resolve_overlaps(joined, height, width, options);
    const auto counts = metric::count_matches(metric::overlap_table(labels, resolved.labels), {1.0})[0];
    checks.holds(name + ": every cell is found once, with IoU 1",
                 counts.true_positives == counts.truth && counts.predicted == counts.truth && counts.truth > 0);
    checks.holds(name + ": falling scores",
                 std::is_sorted(joined.begin(), joined.end(), [](const auto& a, const auto& b) { return a.score > b.score; }));
    if (i == 0) checks.holds("the example has cells in many pieces", pieces > 3 * static_cast<std::size_t>(counts.truth) / 2);
  }

  const auto small = tile_grid(30, 40, 64, 0.25);
  checks.holds("a small image is in the centre of one tile",
               small.tiles.size() == 1 && small.tiles[0].x == -12 && small.tiles[0].y == -17);
  const auto padded = cut_tile(at::ones({3, 30, 40}), small.tiles[0]);
  checks.holds("the rest of that tile is zero", padded.sum().item<double>() == 3600 && padded[0][17][12].item<double>() == 1);

  bool neighbours_right = true;
  for (const auto& [height, width, overlap] :
       {std::tuple{30, 40, 0.25}, {64, 112, 0.25}, {300, 170, 0.5}, {200, 500, 0.8}, {128, 128, 0.0}}) {
    const auto grid = tile_grid(height, width, 64, overlap);
    const auto found = neighbours_of(grid);
    for (std::size_t tile = 0; tile < grid.tiles.size(); ++tile) {
      std::vector<std::size_t> expected;
      for (std::size_t other = 0; other < grid.tiles.size(); ++other) {
        if (other != tile && intersect(grid.tiles[tile], grid.tiles[other]).area() > 0) expected.push_back(other);
      }
      neighbours_right = neighbours_right && found[tile] == expected;
    }
  }
  checks.holds("neighbours are the tiles that overlap", neighbours_right);
  const auto two = tile_grid(64, 112, 64, 0.25);
  const auto cores = cores_of(two);
  checks.holds("two tiles meet in the middle of their overlap", two.tiles.size() == 2 && two.tiles[1].x == 48 &&
                                                                    cores[0].right() == 56 && cores[1].x == 56 &&
                                                                    cores[1].right() == 112 && cores[1].height == 64);
  // An inexact cut detection (half of it in the complete one, IoU in the zone below 0.5) is removed, whatever its score.
  const auto complete = rectangle(40, 2, 22, 40, 0.3);  // zone 48..64
  const auto cleaned = stitch(two, {{complete}, {rectangle(48, 16, 18, 16, 0.9)}});
  checks.holds("containment keeps the complete detection", cleaned.size() == 1 && cleaned[0].score == 0.3);
  const auto other = rectangle(49, 45, 12, 16, 0.9);
  checks.holds("two different cells both stay", stitch(two, {{complete}, {other}}).size() == 2);
  // What the border of a tile cuts belongs to the tile in whose core its centre is, even if that one found nothing.
  checks.holds("a fragment in the core of the other tile goes", stitch(two, {{}, {rectangle(48, 45, 12, 16, 0.9)}}).empty());
  checks.holds("a fragment in the core of its own tile stays", stitch(two, {{}, {rectangle(48, 45, 18, 16, 0.9)}}).size() == 1);
  checks.holds("a complete cell stays wherever it was found", stitch(two, {{}, {other}}).size() == 1);
  checks.holds("a box goes to the tile that shows most of it",
               boxes_by_tile(two, at::tensor({40, 0, 70, 9, 45, 0, 90, 9}, at::kDouble).view({2, 4})) ==
                   std::vector<std::vector<std::int64_t>>{{0}, {1}});
}

void options_are_strict(test::Checks& checks) {
  const auto read = [](const Dict& dict) {
    Options options(dict, "predict");
    const auto answer = read_predict_options(options);
    options.done();
    return answer;
  };
  const auto some = read({{"overlap", "official"}, {"tile_size", 128}, {"adaptive_threshold", false}});
  checks.holds("options are read", some.overlap == OverlapRule::Official && some.tile_size == 128 && !some.adaptive_threshold);
  for (const Dict& bad :
       {Dict{{"overlap", "last"}}, Dict{{"min_visible", 1.5}}, Dict{{"prompt_chunk", -1}}, Dict{{"tile_size", 3}},
        Dict{{"tile_overlap", 1}}, Dict{{"min_area", -1}}, Dict{{"mask_treshold", 0.4}}}) {
    checks.throws(bad.begin()->first, "ERR_INVALID_ARGUMENT", [&] { read(bad); });
  }
}

}  // namespace

TEST_PROGRAM(infer_instances) {
  Checks checks("infer_instances");
  masks(checks);
  holes(checks);
  full_size(checks);
  overlaps(checks);
  stitching(checks);
  options_are_strict(checks);
  return checks.finish();
}

}  // namespace cellsam::test::infer_instances_program
