// Instance matching and rates, against hand-computed numbers, brute force over all assignments, and properties.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "base/rng.h"
#include "engine.h"
#include "metric/average_precision.h"
#include "metric/match.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::metric_match_program {

namespace {

Checks checks("metric_match");

void expect(bool good, const std::string& what) { checks.holds(what, good); }

void expect_near(double got, double wanted, const std::string& what) { checks.near(what, got, wanted, 1e-12); }

// Squares of `side` pixels, one every `pitch` pixels, with ids from 1.
at::Tensor squares(std::int64_t columns, std::int64_t rows, std::int64_t pitch, std::int64_t side, std::int64_t shift = 0) {
  auto labels = at::zeros({rows * pitch, columns * pitch}, at::kInt);
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    labels.narrow(0, i / columns * pitch, side).narrow(1, i % columns * pitch + shift, side).fill_(i + 1);
  }
  return labels;
}

// Truth: 1 = 10x10 at (0,0), 2 = 10x10 at (0,20), 3 = 4x5 at (20,0).
// Predicted: 7 = 10x8 of truth 1 (IoU 80/100), 5 = shifted by 2 on truth 2 (IoU 80/120), 9 = alone.
void hand_computed() {
  auto truth = at::zeros({40, 40}, at::kInt), predicted = at::zeros({40, 40}, at::kInt);
  truth.narrow(0, 0, 10).narrow(1, 0, 10).fill_(1);
  truth.narrow(0, 0, 10).narrow(1, 20, 10).fill_(2);
  truth.narrow(0, 20, 4).narrow(1, 0, 5).fill_(3);
  predicted.narrow(0, 0, 10).narrow(1, 0, 8).fill_(7);
  predicted.narrow(0, 0, 10).narrow(1, 22, 10).fill_(5);
  predicted.narrow(0, 30, 6).narrow(1, 30, 6).fill_(9);

  const auto table = metric::overlap_table(truth, predicted);
  expect(table.truth_ids == std::vector<std::int32_t>{1, 2, 3} && table.predicted_ids == std::vector<std::int32_t>{5, 7, 9},
         "ids");
  expect(table.overlaps.size() == 2, "only touching pairs");
  const auto counted = metric::count_matches(table, {0.5, 0.7, 0.8, 0.85});
  const std::vector<std::int64_t> true_positives = {2, 1, 1, 0};
  for (int i = 0; i < 4; ++i)
    expect(counted[i].true_positives == true_positives[i], "true positives at threshold " + std::to_string(i));
  const auto& half = counted[0];
  const double sum = 80.0 / 100 + 80.0 / 120;
  expect_near(half.matched_iou_sum, sum, "sum of IoU");
  expect_near(metric::average_precision(half), 2.0 / 4, "AP");
  expect_near(metric::precision(half), 2.0 / 3, "precision");
  expect_near(metric::recall(half), 2.0 / 3, "recall");
  expect_near(metric::f1(half), 2.0 / 3, "F1");
  expect_near(metric::mean_matched_iou(half), sum / 2, "mean matched IoU");
  expect_near(metric::panoptic_quality(half), sum / (2 + 0.5 + 0.5), "PQ");
}

void empty_sides() {
  const auto none = at::zeros({8, 8}, at::kInt), one = squares(1, 1, 8, 4);
  const auto rates = [](const metric::Counts& c) {
    return std::vector<double>{metric::average_precision(c), metric::precision(c),       metric::recall(c), metric::f1(c),
                               metric::mean_matched_iou(c),  metric::panoptic_quality(c)};
  };
  const auto at_half = [](const at::Tensor& a, const at::Tensor& b) {
    return metric::count_matches(metric::overlap_table(a, b), {0.5})[0];
  };
  expect(rates(at_half(none, none)) == std::vector<double>(6, 1.0), "both empty: 1");
  expect(rates(at_half(one, none)) == std::vector<double>(6, 0.0), "nothing predicted: 0");
  expect(rates(at_half(none, one)) == std::vector<double>(6, 0.0), "nothing there: 0");
}

void many_cells() {
  for (const std::int64_t rows : {1, 3, 20}) {
    const std::int64_t cells = rows == 1 ? 1 : rows * 20;
    const auto labels = rows == 1 ? squares(1, 1, 8, 5) : squares(20, rows, 8, 5);
    const auto table = metric::overlap_table(labels, labels);
    expect(static_cast<std::int64_t>(table.truth_ids.size()) == cells, "every id is an instance of its own, also beyond 255");
    for (const auto& counts : metric::count_matches(table, metric::average_precision_thresholds())) {
      expect_near(metric::average_precision(counts), 1, "a perfect prediction of " + std::to_string(cells) + " cells");
      expect_near(counts.matched_iou_sum, static_cast<double>(cells), "sum of IoU of a perfect prediction");
    }
  }
  // Ids carry no meaning: permuted, far apart and near the end of int32 they give the same counts.
  const auto truth = squares(20, 15, 9, 7), predicted = squares(20, 15, 9, 7, 1);
  const auto order = at::randperm(300, at::kLong);
  const auto far = at::cat({at::zeros({1}, at::kLong), 2147483647 - order * 7000000}).to(at::kInt);
  const auto permuted = far.index_select(0, predicted.to(at::kLong).flatten()).view_as(predicted);
  const auto plain = metric::count_matches(metric::overlap_table(truth, predicted), metric::average_precision_thresholds());
  const auto other = metric::count_matches(metric::overlap_table(truth, permuted), metric::average_precision_thresholds());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    expect(plain[i].true_positives == other[i].true_positives, "permuted ids");
    expect_near(other[i].matched_iou_sum, plain[i].matched_iou_sum, "permuted ids, IoU");
  }
  expect(plain[4].true_positives == 300 && plain[6].true_positives == 0, "7x7 squares shifted by one have IoU 42/56 = 0.75");
}

// The largest sum over all one-to-one matchings, by trying every one.
double brute_force(const metric::OverlapTable& table, double threshold) {
  std::vector<bool> used(table.predicted_ids.size(), false);
  const std::function<double(std::int64_t)> best_from = [&](std::int64_t truth) -> double {
    if (truth == static_cast<std::int64_t>(table.truth_ids.size())) return 0;
    double best = best_from(truth + 1);
    for (const auto& overlap : table.overlaps) {
      if (overlap.truth != truth || overlap.iou < threshold || used[overlap.predicted]) continue;
      used[overlap.predicted] = true;
      best = std::max(best, overlap.iou + best_from(truth + 1));
      used[overlap.predicted] = false;
    }
    return best;
  };
  return best_from(0);
}

void against_brute_force() {
  int where_greedy_fails = 0;
  for (std::uint64_t trial = 0; trial < 400; ++trial) {
    CounterRng rng{7, trial};
    // Stripes cut at other places on both sides, so that everything touches two or three others.
    auto truth = at::zeros({3, 24}, at::kInt), predicted = at::zeros({3, 24}, at::kInt);
    for (auto* labels : {&truth, &predicted}) {
      for (std::int64_t y = 0; y < 3; ++y) {
        for (std::int64_t x = 0; x < 24; ++x)
          (*labels)[y][x] = static_cast<std::int64_t>(rng.below(3) + static_cast<std::uint64_t>(x / 8) * 2);
      }
    }
    const auto table = metric::overlap_table(truth, predicted);
    for (const double threshold : {1e-9, 0.1, 0.2, 0.5}) {
      const auto matches = metric::match(table, threshold);
      double sum = 0;
      std::vector<int> of_truth(table.truth_ids.size()), of_predicted(table.predicted_ids.size());
      for (const auto& pair : matches) {
        sum += pair.iou;
        expect(++of_truth[pair.truth] == 1 && ++of_predicted[pair.predicted] == 1 && pair.iou >= threshold, "one to one");
      }
      expect_near(sum, brute_force(table, threshold), "optimal matching, trial " + std::to_string(trial));

      auto order = table.overlaps;
      std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.iou > b.iou; });
      std::vector<bool> truth_used(table.truth_ids.size()), predicted_used(table.predicted_ids.size());
      double greedy = 0;
      for (const auto& pair : order) {
        if (pair.iou < threshold || truth_used[pair.truth] || predicted_used[pair.predicted]) continue;
        truth_used[pair.truth] = predicted_used[pair.predicted] = true;
        greedy += pair.iou;
      }
      where_greedy_fails += greedy < sum - 1e-9;
    }
  }
  expect(where_greedy_fails > 20, "the trials must hold cases where a greedy matching is not the best");
}

void bad_input() {
  const auto labels = squares(2, 2, 8, 4);
  const auto refuses = [](const std::function<void()>& call, const std::string& what) {
    checks.throws(what, "ERR_INVALID_ARGUMENT", call);
  };
  refuses([&] { metric::overlap_table(labels, labels.narrow(0, 0, 4)); }, "another shape");
  refuses([&] { metric::overlap_table(labels, labels.to(at::kLong)); }, "another type");
  refuses([&] { metric::overlap_table(labels, -labels); }, "a negative id");
  refuses([&] { metric::match(metric::overlap_table(labels, labels), 0); }, "threshold 0");
  refuses([&] { metric::match(metric::overlap_table(labels, labels), std::nan("")); }, "threshold NaN");
  expect(metric::overlap_table(at::zeros({0, 5}, at::kInt), at::zeros({0, 5}, at::kInt)).truth_ids.empty(),
         "an image without pixels");
}

}  // namespace

TEST_PROGRAM(metric_match) {
  hand_computed();
  empty_sides();
  many_cells();
  against_brute_force();
  bad_input();
  return checks.finish();
}

}  // namespace cellsam::test::metric_match_program
