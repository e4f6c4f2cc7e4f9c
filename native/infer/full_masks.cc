#include "infer/full_masks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <ATen/ATen.h>

#include "base/axis_taps.h"
#include "base/parallel.h"

namespace cellsam::infer {
namespace {

// Indices [begin, end) of a row.
struct Span {
  std::int64_t begin = 0, end = 0;

  bool empty() const { return begin >= end; }
  void add(const Span& other) {
    if (other.empty()) return;
    *this = empty() ? other : Span{std::min(begin, other.begin), std::max(end, other.end)};
  }
};

// Upsamples masks row by row, one mask after the other in the same memory. An upsampled logit is a weighted mean of
// low-resolution ones, so it is above the threshold only where one of them is.
class MaskRows {
 public:
  MaskRows(const AxisView<float>& rows, const AxisView<float>& columns, float threshold)
      : rows_(rows), columns_(columns), threshold_(threshold), spans_(rows.in), mixed_(columns.in), bits_(columns.out) {}

  Mask mask(const float* logits) {
    for (std::int64_t y = 0; y < rows_.in; ++y) spans_[y] = above(logits + y * columns_.in);
    std::vector<Run> runs;
    for (std::int64_t y = 0; y < rows_.out; ++y) {
      Span high;
      for (std::int64_t k = 0; k < rows_.taps; ++k) high.add(spans_[rows_.first[y] + k]);
      if (high.empty()) continue;
      const auto wide = reached_by(high);
      if (wide.empty()) continue;  // no column of a narrow image is near these
      mix(logits, y, {columns_.first[wide.begin], columns_.first[wide.end - 1] + columns_.taps});
      widen(wide);
      append_runs(runs, bits_.data() + wide.begin, wide.end - wide.begin, wide.begin, y);
    }
    runs.shrink_to_fit();
    return from_runs(std::move(runs));
  }

 private:
  // From the first to the last logit of a low-resolution row that is above the threshold.
  Span above(const float* row) const {
    std::int64_t begin = 0, end = columns_.in;
    while (begin < end && row[begin] <= threshold_) ++begin;
    while (end > begin && row[end - 1] <= threshold_) --end;
    return {begin, end};
  }

  // The columns of the image that depend on some of these low-resolution columns.
  Span reached_by(const Span& low) const {
    const auto* end = columns_.first + columns_.out;
    const auto index = [&](std::int64_t first) { return std::lower_bound(columns_.first, end, first) - columns_.first; };
    return {index(low.begin - columns_.taps + 1), index(low.end)};
  }

  // Sets mixed_ to row y of the image at the columns of the low resolution.
  void mix(const float* logits, std::int64_t y, const Span& low) {
    const auto* from = logits + rows_.first[y] * columns_.in;
    const auto* weights = rows_.weights + y * rows_.taps;
    auto* mixed = mixed_.data();
    for (auto x = low.begin; x < low.end; ++x) mixed[x] = weights[0] * from[x];
    for (std::int64_t k = 1; k < rows_.taps; ++k) {
      from += columns_.in;
      for (auto x = low.begin; x < low.end; ++x) mixed[x] += weights[k] * from[x];
    }
  }

  // Sets bits_ where mixed_, upsampled to the image's columns, is above the threshold.
  void widen(const Span& wide) {
    for (auto x = wide.begin; x < wide.end; ++x) {
      const auto* from = mixed_.data() + columns_.first[x];
      const auto* weights = columns_.weights + x * columns_.taps;
      float sum = weights[0] * from[0];
      for (std::int64_t k = 1; k < columns_.taps; ++k) sum += weights[k] * from[k];
      bits_[x] = sum > threshold_;
    }
  }

  const AxisView<float> rows_, columns_;
  const float threshold_;
  std::vector<Span> spans_;  // of each low-resolution row
  std::vector<float> mixed_;
  std::vector<std::uint8_t> bits_;
};

}  // namespace

std::vector<Mask> full_masks(const at::Tensor& given, const MaskSize& size, double threshold) {
  const auto logits = given.to(at::kFloat).contiguous();
  const AxisTaps<float> rows({logits.size(1), size.canvas, size.height}), columns({logits.size(2), size.canvas, size.width});
  const auto* maps = logits.const_data_ptr<float>();
  const auto pixels = logits.size(1) * logits.size(2);
  const auto logit = static_cast<float>(std::log(threshold) - std::log1p(-threshold));  // -inf and inf at 0 and 1
  std::vector<Mask> masks(static_cast<std::size_t>(logits.size(0)));
  parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    MaskRows mask_rows(rows.view(), columns.view(), logit);
    for (auto i = begin; i < end; ++i) masks[static_cast<std::size_t>(i)] = mask_rows.mask(maps + i * pixels);
  });
  return masks;
}

}  // namespace cellsam::infer
