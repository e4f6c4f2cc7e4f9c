#include "data/stain.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine.h"

namespace cellsam::data {
namespace {

using Matrix = std::array<std::array<double, 3>, 3>;

constexpr Matrix kStains = {{{0.65, 0.70, 0.29}, {0.07, 0.99, 0.11}, {0.27, 0.57, 0.78}}};  // absorbance: rows H, E, DAB
constexpr double kDarkest = 1e-6;                                                           // so that the logarithm is finite

constexpr Matrix inverse(const Matrix& m) {
  auto minor = [&m](int row, int column) {  // with its sign, as the indices are cyclic
    const int a = (row + 1) % 3, b = (row + 2) % 3, c = (column + 1) % 3, d = (column + 2) % 3;
    return m[a][c] * m[b][d] - m[a][d] * m[b][c];
  };
  const double determinant = m[0][0] * minor(0, 0) + m[0][1] * minor(0, 1) + m[0][2] * minor(0, 2);
  Matrix result{};
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) result[row][column] = minor(column, row) / determinant;
  }
  return result;
}

// ln(level / 255) / ln 1e-6 of the 256 levels: 0 for white, 1 for black.
std::array<double, 256> absorbances() {
  std::array<double, 256> table{};
  for (int level = 0; level < 256; ++level) table[level] = std::log(std::max(level / 255.0, kDarkest)) / std::log(kDarkest);
  return table;
}

void scale_amounts(std::vector<double>& amounts, bool inversion) {
  const auto [lowest, highest] = std::minmax_element(amounts.begin(), amounts.end());
  const double low = *lowest, high = *highest;
  for (auto& amount : amounts) {
    amount = high > low ? (amount - low) / (high - low) : std::clamp(amount, 0.0, 1.0);
    if (inversion) amount = 1 - amount;
  }
}

double to_level(double amount, double gamma) { return std::trunc(255 * std::pow(amount, gamma)); }

}  // namespace

at::Tensor separate_stains(const at::Tensor& image, const StainOptions& options) {
  static const auto absorbance = absorbances();
  static constexpr Matrix unmix = inverse(kStains);
  const auto source = image.contiguous();
  const auto pixels = static_cast<std::size_t>(image.size(0) * image.size(1));
  std::array<std::vector<double>, 3> amounts;
  for (auto& plane : amounts) plane.resize(pixels);
  const auto* from = source.data_ptr<double>();
  for (std::size_t i = 0; i < pixels; ++i, from += 3) {
    std::array<double, 3> absorbed{};
    for (int c = 0; c < 3; ++c) absorbed[c] = absorbance[std::clamp(std::lround(from[c]), 0L, 255L)];
    for (int stain = 0; stain < 3; ++stain) {
      const double amount = absorbed[0] * unmix[0][stain] + absorbed[1] * unmix[1][stain] + absorbed[2] * unmix[2][stain];
      amounts[stain][i] = std::max(amount, 0.0);
    }
  }
  for (auto& plane : amounts) scale_amounts(plane, options.inversion);

  auto separated = at::zeros({image.size(0), image.size(1), 3}, at::kDouble);
  auto* to = separated.data_ptr<double>();
  for (std::size_t i = 0; i < pixels; ++i, to += 3) {
    to[1] = to_level(amounts[0][i], options.gamma);
    if (options.only_nuclei) continue;
    to[2] = to_level(std::clamp(options.eosin * amounts[1][i] + options.dab * amounts[2][i], 0.0, 1.0), options.gamma);
  }
  return separated;
}

}  // namespace cellsam::data
