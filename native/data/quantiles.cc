#include "data/quantiles.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace cellsam::data {
namespace {

// Zeros become infinity and so sort to the end: their number does not have to be known on the host.
at::Tensor by_sorting(const at::Tensor& flat, double upper) {  // [B,n] -> [2,B]
  const auto present = flat != 0;
  const auto last = present.sum(1, /*keepdim=*/true).to(at::kFloat) - 1;
  const auto sorted = std::get<0>(at::where(present, flat, at::Scalar(INFINITY)).sort(1));
  const auto position = (last * upper).clamp_min(0);
  const auto below = position.floor();
  const auto low = sorted.gather(1, below.to(at::kLong)), high = sorted.gather(1, position.ceil().to(at::kLong));
  return at::cat({sorted.slice(1, 0, 1), at::lerp(low, high, (position - below).to(flat.scalar_type()))}, 1).t();
}

constexpr int kShift = 15;  // to the upper half of a float's bits, without the sign
constexpr std::size_t kBins = std::size_t{1} << (31 - kShift);

// Positive floats have the order of their bits: a histogram of the upper bits finds the bin that contains a quantile, and only
// the values in that bin have to be sorted.
class Histogram {
 public:
  // Empty when a value is negative or not finite, where the order of the bits is another.
  static std::optional<Histogram> of(const float* values, std::int64_t count) {
    Histogram histogram(values, count);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(values[i]);
      if (bits >= kInfinity) return std::nullopt;
      ++histogram.counts_[bits >> kShift];
      if (bits == 0) ++histogram.zeros_;
      const auto nonzero = bits - 1;  // zero becomes the largest number
      histogram.least_ = std::min(histogram.least_, nonzero);
    }
    histogram.counts_[0] -= histogram.zeros_;
    return histogram;
  }

  std::int64_t nonzero() const { return count_ - zeros_; }
  float least() const { return std::bit_cast<float>(least_ + 1); }

  // The sorted non-zero values at `position` and `next`, which is `position` or one more.
  std::pair<float, float> at(std::int64_t position, std::int64_t next) const {
    std::size_t bin = 0;
    std::int64_t before = 0;
    while (before + counts_[bin] <= position) before += counts_[bin++];
    std::vector<float> inside;
    inside.reserve(static_cast<std::size_t>(counts_[bin]));
    float after = std::numeric_limits<float>::infinity();  // the least value of the later bins
    for (std::int64_t i = 0; i < count_; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(values_[i]);
      const auto bin_of_value = bits >> kShift;
      if (bin_of_value == bin && bits != 0) inside.push_back(values_[i]);
      if (bin_of_value > bin) after = std::min(after, values_[i]);
    }
    const auto wanted = inside.begin() + (position - before);
    std::nth_element(inside.begin(), wanted, inside.end());
    const float low = *wanted;
    if (next == position) return {low, low};
    return {low, wanted + 1 == inside.end() ? after : *std::min_element(wanted + 1, inside.end())};
  }

 private:
  static constexpr std::uint32_t kInfinity = 0x7f800000;

  Histogram(const float* values, std::int64_t count) : values_(values), count_(count), counts_(kBins, 0) {}

  const float* values_;
  std::int64_t count_, zeros_ = 0;
  std::vector<std::int64_t> counts_;
  std::uint32_t least_ = std::numeric_limits<std::uint32_t>::max();
};

at::Tensor by_histogram(const at::Tensor& flat, double upper) {  // [n] -> [2]
  const auto histogram = Histogram::of(flat.const_data_ptr<float>(), flat.numel());
  if (!histogram || histogram->nonzero() == 0) return by_sorting(flat.unsqueeze(0), upper).select(1, 0);
  // In the same float arithmetic as by_sorting.
  const auto position = (at::scalar_tensor(histogram->nonzero(), at::kLong).to(at::kFloat) - 1) * upper;
  const auto below = position.floor();
  const auto [low, high] = histogram->at(below.item<std::int64_t>(), position.ceil().item<std::int64_t>());
  const auto value = [&](float number) { return at::full({}, number, flat.options()); };
  return at::stack({value(histogram->least()), at::lerp(value(low), value(high), position - below)});
}

}  // namespace

at::Tensor nonzero_quantiles(const at::Tensor& images, double upper) {
  const auto flat = images.flatten(1);
  if (!flat.is_cpu() || flat.scalar_type() != at::kFloat) return by_sorting(flat, upper);
  std::vector<at::Tensor> quantiles;
  for (const auto& image : flat.contiguous().unbind()) quantiles.push_back(by_histogram(image, upper));
  return at::stack(quantiles, 1);
}

}  // namespace cellsam::data
