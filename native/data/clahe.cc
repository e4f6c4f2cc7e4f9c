#include "data/clahe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace cellsam::data {
namespace {

constexpr int kGrays = 1 << 14;  // grey levels inside the algorithm
constexpr int kGreyBins = 256;
constexpr int kBinWidth = 1 + kGrays / kGreyBins;        // 65, so that bins 253..255 stay empty, as in scikit-image
constexpr std::int64_t kRegion = 128;                    // side of a contextual region
constexpr std::int64_t kClip = kRegion * kRegion / 100;  // clip limit 0.01, in counts, truncated

using GreyHistogram = std::array<std::int64_t, kGreyBins>;
using Mapping = std::array<std::int32_t, kGreyBins>;

// Index `i` of a row of n values that is mirrored at its ends, without repeating the end values.
std::int64_t reflect(std::int64_t i, std::int64_t n) {
  if (n == 1) return 0;
  const std::int64_t period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

// Clips every bin to the limit and distributes the excess evenly over the bins; the remainder is distributed one count at a
// time over bins below the limit. The order decides about single counts, so it is that of scikit-image.
void clip_counts(GreyHistogram& counts) {
  std::int64_t excess = 0;
  for (auto count : counts) excess += std::max<std::int64_t>(0, count - kClip);
  const std::int64_t each = excess / kGreyBins, upper = kClip - each;
  for (auto& count : counts) {
    count = std::min(count, kClip);
    if (count < upper) {
      count += each;
      excess -= each;
    }
    if (count >= upper && count < kClip) {  // also bins that have just reached `upper`
      excess -= kClip - count;
      count = kClip;
    }
  }
  auto below_limit = [](std::int64_t count) { return count < kClip; };
  while (excess > 0) {
    const std::int64_t before = excess;
    for (std::int64_t first = 0; first < kGreyBins && excess > 0; ++first) {
      const std::int64_t open_bins = std::count_if(counts.begin(), counts.end(), below_limit);
      const std::int64_t step = std::max<std::int64_t>(1, open_bins / excess);
      for (std::int64_t bin = first; bin < kGreyBins; bin += step) {
        if (!below_limit(counts[bin])) continue;
        ++counts[bin];
        --excess;
      }
    }
    if (excess == before) break;
  }
}

Mapping grey_mapping(const GreyHistogram& counts) {
  Mapping mapping;
  std::int64_t sum = 0;
  constexpr double scale = static_cast<double>(kGrays - 1) / (kRegion * kRegion);
  for (int bin = 0; bin < kGreyBins; ++bin) {
    sum += counts[bin];
    mapping[bin] = static_cast<std::int32_t>(std::min<double>(sum * scale, kGrays - 1));
  }
  return mapping;
}

// Bin of every pixel of the mirrored image, [rows,columns].
std::vector<std::uint8_t> padded_bins(const double* pixels, std::int64_t height, std::int64_t width, std::int64_t rows,
                                      std::int64_t columns) {
  const auto [low, high] = std::minmax_element(pixels, pixels + height * width);
  const double floor = std::nearbyint(*low * 65535), span = std::nearbyint(*high * 65535) - floor;
  std::vector<std::uint8_t> bins(height * width);
  for (std::int64_t i = 0; i < height * width; ++i) {
    const double fraction = span > 0 ? (std::nearbyint(pixels[i] * 65535) - floor) / span : 0.0;
    bins[i] = static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(fraction * (kGrays - 1))) / kBinWidth);
  }
  std::vector<std::int64_t> from(columns);
  for (std::int64_t x = 0; x < columns; ++x) from[x] = reflect(x - kRegion / 2, width);
  std::vector<std::uint8_t> padded(rows * columns);
  for (std::int64_t y = 0; y < rows; ++y) {
    const auto* source = bins.data() + reflect(y - kRegion / 2, height) * width;
    for (std::int64_t x = 0; x < columns; ++x) padded[y * columns + x] = source[from[x]];
  }
  return padded;
}

// Padded length of an axis: half a region before, up to a whole number of regions and half a region after.
std::int64_t padded_length(std::int64_t n) { return (n + kRegion - 1) / kRegion * kRegion + kRegion; }

}  // namespace

void equalize_adaptive(double* pixels, std::int64_t height, std::int64_t width) {
  const std::int64_t rows = padded_length(height), columns = padded_length(width);
  const auto bins = padded_bins(pixels, height, width, rows, columns);

  const std::int64_t regions_y = rows / kRegion - 1, regions_x = columns / kRegion - 1;
  std::vector<Mapping> mappings(regions_y * regions_x);
  for (std::int64_t region = 0; region < regions_y * regions_x; ++region) {
    const std::int64_t top = kRegion / 2 + region / regions_x * kRegion, left = kRegion / 2 + region % regions_x * kRegion;
    GreyHistogram counts{};
    for (std::int64_t y = top; y < top + kRegion; ++y) {
      for (std::int64_t x = left; x < left + kRegion; ++x) ++counts[bins[y * columns + x]];
    }
    clip_counts(counts);
    mappings[region] = grey_mapping(counts);
  }

  // Between the centres of four regions their mappings are interpolated bilinearly;
  // outside of the outermost centres the nearest mapping counts. The four products are
  // rounded to float one by one, as in scikit-image, which decides about the last level.
  auto mapping = [&](std::int64_t y, std::int64_t x) -> const Mapping& {
    return mappings[std::clamp<std::int64_t>(y, 0, regions_y - 1) * regions_x + std::clamp<std::int64_t>(x, 0, regions_x - 1)];
  };
  double low = kGrays, high = 0;
  for (std::int64_t y = 0; y < height; ++y) {
    const std::int64_t row = y + kRegion / 2, block_y = row / kRegion;
    const double below = static_cast<double>(row % kRegion) / kRegion, above = 1 - below;
    for (std::int64_t x = 0; x < width;) {
      const std::int64_t block_x = (x + kRegion / 2) / kRegion;
      const std::int64_t end = std::min(width, (block_x + 1) * kRegion - kRegion / 2);
      const auto &m00 = mapping(block_y - 1, block_x - 1), &m01 = mapping(block_y - 1, block_x);
      const auto &m10 = mapping(block_y, block_x - 1), &m11 = mapping(block_y, block_x);
      for (; x < end; ++x) {
        const std::int64_t column = x + kRegion / 2;
        const auto bin = bins[row * columns + column];
        const double right = static_cast<double>(column % kRegion) / kRegion, left = 1 - right;
        float grey = static_cast<float>(m00[bin] * (left * above));
        grey += static_cast<float>(m01[bin] * (right * above));
        grey += static_cast<float>(m10[bin] * (left * below));
        grey += static_cast<float>(m11[bin] * (right * below));
        const double level = std::trunc(grey);
        pixels[y * width + x] = level;
        low = std::min(low, level);
        high = std::max(high, level);
      }
    }
  }
  for (std::int64_t i = 0; i < height * width; ++i) {
    pixels[i] = high > low ? (pixels[i] - low) / (high - low) : std::clamp(pixels[i], 0.0, 1.0);
  }
}

}  // namespace cellsam::data
