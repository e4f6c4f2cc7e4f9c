// The quantiles of an image's non-zero values against those of its sorted values, on images for every branch.
#include "data/quantiles.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::quantiles_program {

namespace {

// By the definition, with sort, in the float arithmetic of torch.quantile.
std::pair<float, float> expected(const at::Tensor& image, double upper) {
  std::vector<float> values;
  const auto plain = image.contiguous();
  for (std::int64_t i = 0; i < plain.numel(); ++i) {
    if (plain.const_data_ptr<float>()[i] != 0) values.push_back(plain.const_data_ptr<float>()[i]);
  }
  std::sort(values.begin(), values.end());
  const float position = static_cast<float>(values.size() - 1) * static_cast<float>(upper);
  const float low = values[static_cast<std::size_t>(std::floor(position))];
  const float high = values[static_cast<std::size_t>(std::ceil(position))];
  return {values.front(), low + (position - std::floor(position)) * (high - low)};
}

void compare(test::Checks& checks, const std::string& name, const at::Tensor& image) {
  for (double upper : {0.0, 0.5, 0.995, 1.0}) {
    const auto got = data::nonzero_quantiles(image.unsqueeze(0), upper).select(1, 0);
    const auto [least, most] = expected(image, upper);
    checks.near(name + " least", std::abs(got[0].item<float>() - least), 0);
    checks.near(name + " upper " + std::to_string(upper), std::abs(got[1].item<float>() - most), 1e-6 * std::abs(most));
  }
}

}  // namespace

TEST_PROGRAM(quantiles) {
  test::Checks checks("quantiles");
  at::manual_seed(5);
  const auto random = at::rand({3, 61, 67});
  compare(checks, "random", random);
  compare(checks, "half of the values zero", random * (at::rand({3, 61, 67}) > 0.5));
  compare(checks, "bytes", (random * 255).trunc() / 255);
  compare(checks, "two values", (random > 0.3).to(at::kFloat) * 0.25 + (random > 0.9).to(at::kFloat) * 0.5);
  compare(checks, "one value", at::full({3, 5, 7}, 0.125));
  compare(checks, "one pixel",
          at::zeros({3, 4, 4}).index_put_({at::tensor(1), at::tensor(2), at::tensor(3)}, at::scalar_tensor(0.7F)));
  compare(checks, "far apart", at::cat({random * 1e-30, random * 1e30}));
  compare(checks, "denormal", random * 1e-40);
  compare(checks, "not contiguous", random.transpose(1, 2));
  compare(checks, "negative", random - 0.5);
  checks.holds("nothing but zeros: no number",
               !at::isfinite(data::nonzero_quantiles(at::zeros({1, 3, 4, 4}), 0.995)[0]).item<bool>());
  checks.holds(
      "NaN as with sorting",
      std::isnan(data::nonzero_quantiles(at::cat({random, at::full({3, 61, 67}, NAN)}).unsqueeze(0), 1.0)[1].item<float>()));
  // float64 takes the way of a GPU, which sorts.
  const auto several = at::stack({random, random - 0.5, random * (random > 0.7), at::full_like(random, NAN)});
  const auto each = data::nonzero_quantiles(several, 0.9), sorted = data::nonzero_quantiles(several.to(at::kDouble), 0.9);
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto alone = data::nonzero_quantiles(several.slice(0, i, i + 1), 0.9).select(1, 0);
    checks.near("an image of several", each.select(1, i), alone, 0);
    checks.near("an image of several, sorted", sorted.select(1, i), alone.to(at::kDouble), 1e-6);
  }
  return checks.finish();
}

}  // namespace cellsam::test::quantiles_program
