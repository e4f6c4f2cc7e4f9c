#include "base/axis_taps.h"

#include <algorithm>
#include <cmath>

namespace cellsam {

namespace {

// A sparse matrix: output i is the sum over k of weights[i * taps + k] times input first[i] + k.
struct Rows {
  std::int64_t taps;
  std::vector<std::int32_t> first;
  std::vector<double> weights;

  std::int64_t size() const { return std::ssize(first); }
  double* of(std::int64_t row) { return weights.data() + row * taps; }
  const double* of(std::int64_t row) const { return weights.data() + row * taps; }
};

Rows empty_rows(std::int64_t taps, std::int64_t out) {
  return {taps, std::vector<std::int32_t>(out, 0), std::vector<double>(out * taps, 0)};
}

Rows step(std::int64_t in, std::int64_t out) {
  auto rows = empty_rows(std::min<std::int64_t>(2, in), out);
  for (std::int64_t i = 0; i < out; ++i) {
    const double position =
        std::max(0.0, static_cast<double>(in) / static_cast<double>(out) * (static_cast<double>(i) + 0.5) - 0.5);
    const auto low = std::min(static_cast<std::int64_t>(position), in - 1);
    const double rest = low < in - 1 ? position - static_cast<double>(low) : 0;
    const auto first = std::min(low, in - rows.taps);  // the last input has none after it
    rows.first[i] = static_cast<std::int32_t>(first);
    rows.of(i)[low - first] += 1 - rest;
    if (rest > 0) rows.of(i)[low - first + 1] += rest;
  }
  return rows;
}

// The product of the two matrices: `later` applied to the outputs of `earlier`.
Rows product(const Rows& earlier, const Rows& later) {
  std::int64_t taps = 1;
  const auto begin = [&](std::int64_t i) { return earlier.first[later.first[i]]; };
  for (std::int64_t i = 0; i < later.size(); ++i) {
    taps = std::max<std::int64_t>(taps, earlier.first[later.first[i] + later.taps - 1] + earlier.taps - begin(i));
  }
  auto rows = empty_rows(taps, later.size());
  for (std::int64_t i = 0; i < later.size(); ++i) {
    rows.first[i] = begin(i);
    for (std::int64_t k = 0; k < later.taps; ++k) {
      const auto middle = later.first[i] + k;
      for (std::int64_t j = 0; j < earlier.taps; ++j) {
        rows.of(i)[earlier.first[middle] + j - rows.first[i]] += later.of(i)[k] * earlier.of(middle)[j];
      }
    }
  }
  return rows;
}

// Removes the zeros at both ends of each row; the longest row decides the number of taps.
Rows trimmed(const Rows& rows, std::int64_t in) {
  std::vector<std::int64_t> begins(rows.size()), ends(rows.size());
  std::int64_t taps = 1;
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    begins[i] = 0;
    ends[i] = rows.taps;
    while (begins[i] < ends[i] - 1 && rows.of(i)[begins[i]] == 0) ++begins[i];
    while (begins[i] < ends[i] - 1 && rows.of(i)[ends[i] - 1] == 0) --ends[i];
    taps = std::max(taps, ends[i] - begins[i]);
  }
  auto result = empty_rows(taps, rows.size());
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const auto first = std::min(rows.first[i] + begins[i], in - taps);
    result.first[i] = static_cast<std::int32_t>(first);
    std::copy(rows.of(i) + begins[i], rows.of(i) + ends[i], result.of(i) + (rows.first[i] + begins[i] - first));
  }
  return result;
}

bool is_doubling(const Rows& rows, std::int64_t in) {
  if (rows.size() != 2 * in || rows.taps != 2) return false;
  const auto plain = step(in, 2 * in);
  return rows.first == plain.first && rows.weights == plain.weights;
}

}  // namespace

template <class Number>
AxisTaps<Number>::AxisTaps(const std::vector<std::int64_t>& lengths) : in_(lengths.front()), out_(lengths.back()) {
  auto rows = step(in_, lengths.size() > 1 ? lengths[1] : in_);
  for (std::size_t i = 2; i < lengths.size(); ++i) rows = product(rows, step(lengths[i - 1], lengths[i]));
  rows = trimmed(rows, in_);
  taps_ = rows.taps;
  doubles_ = is_doubling(rows, in_);
  first_ = rows.first;
  weights_.assign(rows.weights.begin(), rows.weights.end());

  reached_.assign(in_, 0);
  std::vector<std::int32_t> ends(in_, 0);
  for (std::int64_t i = 0; i < out_; ++i) {
    for (std::int64_t k = 0; k < taps_; ++k) {
      if (rows.of(i)[k] == 0) continue;
      const auto input = first_[i] + k;
      if (ends[input] == 0) reached_[input] = static_cast<std::int32_t>(i);
      ends[input] = static_cast<std::int32_t>(i) + 1;
    }
  }
  offsets_.assign(in_ + 1, 0);
  for (std::int64_t input = 0; input < in_; ++input) {
    const auto count = ends[input] - reached_[input];
    longest_ = std::max<std::int64_t>(longest_, count);
    offsets_[input + 1] = offsets_[input] + count;
    for (auto i = reached_[input]; i < ends[input]; ++i) {
      const auto k = input - first_[i];
      reached_weights_.push_back(k >= 0 && k < taps_ ? weights_[i * taps_ + k] : 0);
    }
  }
}

template <class Number>
AxisView<Number> AxisTaps<Number>::view() const {
  return {in_,      out_,    taps_, first_.data(), weights_.data(), reached_.data(), offsets_.data(), reached_weights_.data(),
          longest_, doubles_};
}

template class AxisTaps<float>;
template class AxisTaps<double>;

}  // namespace cellsam
