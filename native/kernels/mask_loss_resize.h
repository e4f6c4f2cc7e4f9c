// The resizing inside mask_loss_rows.h, docs/math.md section 2.1: low-resolution rows are made as wide as the tile once each,
// and rows of the tile are mixed from them; the gradient goes the same way back. See mask_loss_buffers.h for what may stand
// here.
#pragma once

#include "kernels/mask_loss_buffers.h"

namespace cellsam::kernels {
namespace {

template <class Lanes, int kCount>
void mix_fixed(const typename Lanes::Number* const* rows, const typename Lanes::Number* weights, std::int64_t width,
               typename Lanes::Number* out) {
  for (std::int64_t x = 0; x < width; x += Lanes::kCount) {
    auto sum = Lanes::spread(weights[0]) * Lanes::load(rows[0] + x);
    for (int k = 1; k < kCount; ++k) sum = Lanes::fma(Lanes::spread(weights[k]), Lanes::load(rows[k] + x), sum);
    Lanes::store(out + x, sum);
  }
}

// out[x] = sum over the `count` rows of weights[k] * rows[k][x]; width is a multiple of the lanes.
template <class Lanes>
void mix_rows(const typename Lanes::Number* const* rows, const typename Lanes::Number* weights, std::int64_t count,
              std::int64_t width, typename Lanes::Number* out) {
  if (count == 1) return mix_fixed<Lanes, 1>(rows, weights, width, out);
  if (count == 2) return mix_fixed<Lanes, 2>(rows, weights, width, out);
  if (count == 3) return mix_fixed<Lanes, 3>(rows, weights, width, out);
  if (count == 4) return mix_fixed<Lanes, 4>(rows, weights, width, out);
  for (std::int64_t x = 0; x < width; x += Lanes::kCount) {
    auto sum = Lanes::spread(weights[0]) * Lanes::load(rows[0] + x);
    for (std::int64_t k = 1; k < count; ++k) sum = Lanes::fma(Lanes::spread(weights[k]), Lanes::load(rows[k] + x), sum);
    Lanes::store(out + x, sum);
  }
}

// A row of the map [axis.in] to the width of the tile [axis.out]. Both are allocated with a number before and a vector after
// them; those of `row` are written.
template <class Lanes>
void widen(const AxisView<typename Lanes::Number>& axis, typename Lanes::Number* row, typename Lanes::Number* wide) {
  using Number = typename Lanes::Number;
  if (!axis.doubles) {
    for (std::int64_t x = 0; x < axis.out; ++x) {
      const Number* from = row + axis.first[x];
      const Number* weights = axis.weights + x * axis.taps;
      Number sum = weights[0] * from[0];
      for (std::int64_t k = 1; k < axis.taps; ++k) sum += weights[k] * from[k];
      wide[x] = sum;
    }
    return;
  }
  row[-1] = row[0];
  row[axis.in] = row[axis.in - 1];
  const auto near = Lanes::spread(Number(0.75)), far = Lanes::spread(Number(0.25));
  for (std::int64_t x = 0; x < axis.in; x += Lanes::kCount) {
    const auto middle = Lanes::load(row + x) * near;
    const auto even = Lanes::fma(Lanes::load(row + x - 1), far, middle);
    const auto odd = Lanes::fma(Lanes::load(row + x + 1), far, middle);
    typename Lanes::Vector low, high;
    Lanes::zip(even, odd, low, high);
    Lanes::store(wide + 2 * x, low);
    Lanes::store(wide + 2 * x + Lanes::kCount, high);
  }
}

// The way back of a gradient. The numbers around `wide` are written.
template <class Lanes>
void narrow(const AxisView<typename Lanes::Number>& axis, typename Lanes::Number* wide, typename Lanes::Number* row) {
  using Number = typename Lanes::Number;
  if (!axis.doubles) {
    for (std::int64_t x = 0; x < axis.in; ++x) {
      const Number* from = wide + axis.reached[x];
      const Number* weights = axis.reached_weights + axis.offsets[x];
      const auto count = axis.offsets[x + 1] - axis.offsets[x];
      Number sum = 0;
      for (std::int64_t k = 0; k < count; ++k) sum += weights[k] * from[k];
      row[x] = sum;
    }
    return;
  }
  wide[-1] = wide[0];  // the first output takes all of the first input: a quarter more
  wide[axis.out] = wide[axis.out - 1];
  const auto near = Lanes::spread(Number(0.75)), far = Lanes::spread(Number(0.25));
  for (std::int64_t x = 0; x < axis.in; x += Lanes::kCount) {
    const Number* from = wide + 2 * x;
    typename Lanes::Vector before, even, odd, after;
    Lanes::unzip(Lanes::load(from - 1), Lanes::load(from - 1 + Lanes::kCount), before, even);
    Lanes::unzip(Lanes::load(from + 1), Lanes::load(from + 1 + Lanes::kCount), odd, after);
    Lanes::store(row + x, Lanes::fma(far, before + after, near * (even + odd)));
  }
}

}  // namespace
}  // namespace cellsam::kernels
