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

// Zeros sort to the end as infinity, so their number never has to reach the host.
at::Tensor by_sorting(const at::Tensor& flat, double upper) {
  const auto present = flat != 0;
  const auto last = present.sum().to(at::kFloat) - 1;
  const auto sorted = std::get<0>(at::where(present, flat, at::full({}, INFINITY, flat.options())).sort());
  const auto position = (last * upper).clamp_min(0);
  const auto below = position.floor();
  const auto low = sorted.take(below.to(at::kLong)), high = sorted.take(position.ceil().to(at::kLong));
  return at::stack({sorted.select(0, 0), at::lerp(low, high, position - below)});
}

constexpr int kShift = 15;  // the upper half of a float's bits, its sign left out
constexpr std::size_t kBins = std::size_t{1} << (31 - kShift);

// Positive floats sort as their bits do: a histogram of the upper bits finds the one bin that has to be looked into.
class Histogram {
 public:
  // Nothing when a value is negative or not finite: there the bits do not sort.
  static std::optional<Histogram> of(const float* values, std::int64_t count) {
    Histogram histogram(values, count);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(values[i]);
      if (bits >= kInfinity) return std::nullopt;
      ++histogram.counts_[bits >> kShift];
      if (bits == 0) ++histogram.zeros_;
      const auto nonzero = bits - 1;  // zero becomes the largest
      histogram.least_ = std::min(histogram.least_, nonzero);
    }
    histogram.counts_[0] -= histogram.zeros_;
    return histogram;
  }

  std::int64_t nonzero() const { return count_ - zeros_; }
  float least() const { return std::bit_cast<float>(least_ + 1); }

  // The values at `position` and `next` (the same or one behind) of the sorted non-zero ones.
  std::pair<float, float> at(std::int64_t position, std::int64_t next) const {
    std::size_t bin = 0;
    std::int64_t before = 0;
    while (before + counts_[bin] <= position) before += counts_[bin++];
    std::vector<float> inside;
    inside.reserve(static_cast<std::size_t>(counts_[bin]));
    float behind = std::numeric_limits<float>::infinity();  // the least value of the later bins
    for (std::int64_t i = 0; i < count_; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(values_[i]);
      const auto its = bits >> kShift;
      if (its == bin && bits != 0) inside.push_back(values_[i]);
      if (its > bin) behind = std::min(behind, values_[i]);
    }
    const auto wanted = inside.begin() + (position - before);
    std::nth_element(inside.begin(), wanted, inside.end());
    const float low = *wanted;
    if (next == position) return {low, low};
    return {low, wanted + 1 == inside.end() ? behind : *std::min_element(wanted + 1, inside.end())};
  }

 private:
  static constexpr std::uint32_t kInfinity = 0x7f800000;

  Histogram(const float* values, std::int64_t count) : values_(values), count_(count), counts_(kBins, 0) {}

  const float* values_;
  std::int64_t count_, zeros_ = 0;
  std::vector<std::int64_t> counts_;
  std::uint32_t least_ = std::numeric_limits<std::uint32_t>::max();
};

}  // namespace

at::Tensor nonzero_quantiles(const at::Tensor& image, double upper) {
  const auto flat = image.flatten();
  if (!flat.is_cpu() || flat.scalar_type() != at::kFloat) return by_sorting(flat, upper);
  const auto plain = flat.contiguous();
  const auto histogram = Histogram::of(plain.const_data_ptr<float>(), plain.numel());
  if (!histogram || histogram->nonzero() == 0) return by_sorting(flat, upper);
  // The same float arithmetic as above.
  const auto position = (at::scalar_tensor(histogram->nonzero(), at::kLong).to(at::kFloat) - 1) * upper;
  const auto below = position.floor();
  const auto [low, high] = histogram->at(below.item<std::int64_t>(), position.ceil().item<std::int64_t>());
  const auto value = [&](float number) { return at::full({}, number, flat.options()); };
  return at::stack({value(histogram->least()), at::lerp(value(low), value(high), position - below)});
}

}  // namespace cellsam::data
