#include "infer/threshold.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

// The first draws of NumPy's MT19937 with seed 42: one for the first centre, two for the candidates of the second.
constexpr std::array<double, 3> kUniforms = {0.3745401188473625, 0.9507143064099162, 0.7319939418114051};
constexpr int kMaxIterations = 300;
constexpr double kTolerance = 1e-4;  // of the variance

double squared(double value) { return value * value; }

// The second k-means++ centre: of two candidates, drawn with probability proportional to the squared distance from the first
// centre, the one that leaves the smaller sum of squared distances.
double second_centre(const std::vector<double>& values, double first) {
  std::vector<double> cumulative;
  double total = 0;
  for (const double value : values) cumulative.push_back(total += squared(value - first));

  double best = 0, best_left = 0;
  for (const int draw : {1, 2}) {
    const auto found = std::lower_bound(cumulative.begin(), cumulative.end(), kUniforms[draw] * total);
    const auto index = std::min<std::size_t>(found - cumulative.begin(), values.size() - 1);
    double left = 0;
    for (const double value : values) left += std::min(squared(value - first), squared(value - values[index]));
    if (draw == 1 || left < best_left) {
      best = values[index];
      best_left = left;
    }
  }
  return best;
}

}  // namespace

std::array<double, 2> two_means(const at::Tensor& scores) {
  const auto plain = scores.to(at::kFloat).contiguous();
  const float mean = plain.mean().item<float>();
  std::vector<double> values;
  for (std::int64_t i = 0; i < plain.numel(); ++i) values.push_back(plain.const_data_ptr<float>()[i] - mean);
  const auto count = static_cast<double>(values.size());

  double sum = 0, sum_of_squares = 0;
  for (const double value : values) {
    sum += value;
    sum_of_squares += squared(value);
  }
  const double tolerance = kTolerance * (sum_of_squares / count - squared(sum / count));

  std::size_t start = 0;
  while (static_cast<double>(start + 1) / count <= kUniforms[0]) ++start;
  std::array<double, 2> centres = {values[start], 0};
  centres[1] = second_centre(values, centres[0]);

  std::vector<bool> second(values.size(), false), before;
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    std::array<double, 2> sums = {0, 0};
    std::array<double, 2> members = {0, 0};
    for (std::size_t i = 0; i < values.size(); ++i) {
      second[i] = squared(values[i] - centres[1]) < squared(values[i] - centres[0]);
      sums[second[i]] += values[i];
      members[second[i]] += 1;
    }
    double shift = 0;
    for (const int k : {0, 1}) {
      if (members[k] == 0) continue;  // all scores are equal, and so are both centres
      shift += squared(sums[k] / members[k] - centres[k]);
      centres[k] = sums[k] / members[k];
    }
    if (second == before || shift <= tolerance) break;
    before = second;
  }
  return {centres[0] + mean, centres[1] + mean};
}

double score_threshold(const at::Tensor& scores, double bbox_threshold) {
  if (scores.numel() < 2) return bbox_threshold;
  const auto centres = two_means(scores);
  return 0.66 * bbox_threshold + 0.33 * (centres[0] + centres[1]) / 2;
}

}  // namespace cellsam::infer
