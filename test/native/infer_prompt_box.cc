// The box of points and masks, for a network that was trained with boxes alone. All expected numbers are worked out by hand.
#include "infer/prompt_box.h"

#include <ATen/ATen.h>

#include <string>

#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::infer_prompt_box_program {

using namespace cellsam::infer;

namespace {

constexpr std::int64_t kHeight = 64, kWidth = 128;

using Box = std::array<double, 4>;

// Two cells that overlap, and a box around everything whose score is below the threshold.
DetectedBoxes three_boxes() {
  return {.boxes = at::tensor({10, 10, 30, 30, 20, 20, 60, 60, 0, 0, 100, 100}, at::kDouble).view({3, 4}),
          .scores = at::tensor({0.9, 0.5, 0.1}, at::kFloat),
          .threshold = 0.3,
          .floor = 0};
}

DetectedBoxes no_boxes() {
  return {.boxes = at::empty({0, 4}, at::kDouble), .scores = at::empty({0}, at::kFloat), .threshold = 0.3, .floor = 0};
}

void check(Checks& checks, const std::string& name, const Prompt& prompt, const DetectedBoxes& detected, const Box& expected) {
  const auto box = box_of(prompt, detected, kHeight, kWidth);
  double error = 0;
  for (std::size_t i = 0; i < 4; ++i) error = std::max(error, std::abs(box[i] - expected[i]));
  checks.near(name, error, 1e-4);
}

}  // namespace

TEST_PROGRAM(infer_prompt_box) {
  Checks checks("infer_prompt_box");
  const auto boxes = three_boxes();
  // 0.9 * 1 against 0.5 * 0, on the corner of the second.
  check(checks, "in the middle of a box", {.points = {{20, 20}}}, boxes, {10, 10, 30, 30});
  // 0.9 * 0.2 against 0.5 * 0.4.
  check(checks, "more in the middle of a box of a lower score", {.points = {{28, 28}}}, boxes, {20, 20, 60, 60});
  // 0.1 * 0.1, and a margin of 20 around the point.
  check(checks, "in a box below the threshold, near its corner", {.points = {{90, 5}}}, boxes, {0, -15, 110, 100});
  // 0.1 * 0.002: not worth it. The median of the sides 20 and 40 that passed is the upper one.
  check(checks, "on the edge of the last box", {.points = {{99.9, 50}}}, boxes, {79.9, 30, 119.9, 70});
  check(checks, "nothing detected", {.points = {{50, 20}}}, no_boxes(), {42, 16, 58, 24});

  // The margin is a fifth of the sides.
  check(checks, "a second point widens", {.points = {{20, 20}, {33, 20}}}, boxes, {10, 10, 37, 30});
  check(checks, "a point beside cuts where least is lost", {.points = {{20, 20}, {28, 14, false}}}, boxes, {10, 10, 28, 30});
  check(checks, "a point beside that lies outside", {.points = {{20, 20}, {40, 14, false}}}, boxes, {10, 10, 30, 30});
  check(checks, "no cut takes a point on the cell with it",
        {.points = {{20, 20}, {12, 20}, {28, 20}, {20, 12}, {20, 28}, {20.5, 20.5, false}}}, boxes, {8, 8, 32, 32});

  check(checks, "a box stays", {.box = Box{1, 2, 3, 4}}, boxes, {1, 2, 3, 4});
  check(checks, "a box and points", {.points = {{3, 5}, {6, 2, false}}, .box = Box{0, 0, 10, 10}}, boxes, {0, 2, 10, 10});

  auto mask = at::full({4, 4}, -1.0);
  mask.slice(0, 1, 3).slice(1, 2, 3).fill_(1);  // 16 rows and 32 columns of the tile for each of its pixels
  check(checks, "a mask", {.mask = mask}, boxes, {64, 16, 96, 48});
  check(checks, "a mask and a point", {.points = {{80, 50}}, .mask = mask}, boxes, {64, 16, 96, 56.4});
  check(checks, "an empty mask", {.mask = at::full({4, 4}, -1.0)}, boxes, {0, 0, 128, 64});
  return checks.finish();
}

}  // namespace cellsam::test::infer_prompt_box_program
