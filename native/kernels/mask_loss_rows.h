// The sweep of the mask loss over the rows of a tile, docs/math.md sections 2.4 and 2.5, for any kind of `Lanes`. A row is
// upsampled and turned into losses; one row later its edges are known, two rows later its whole gradient, which is then
// gathered into the rows of the low-resolution map. See mask_loss_buffers.h for what may stand here.
//
// What is kept of a pixel is its miss d = p - g, never p itself: a confident p rounds to 1, its miss keeps every digit. Sobel's
// filters are linear, so the predicted edges are those of d plus those of the target. Dice's gradient is affine in the target
// with factors that only the sums give: maps of p(1-p), and of the same inside the target, are gathered and mixed in at the
// end.
//
// `Lanes` is a kind of vector: kCount numbers of type Number, with Vector, Mask (a truth value for each), Total (a sum in
// float64) and the operations of mask_loss_kernel_<set>.cc. Where two neighbouring vectors meet, `preceding` and `following`
// shift by one number, `zip` and `unzip` interleave and separate even and odd numbers.
#pragma once

#include "kernels/mask_loss_resize.h"

namespace cellsam::kernels {
namespace {

template <class Lanes>
class MaskRows {
  using Number = typename Lanes::Number;
  using Vector = typename Lanes::Vector;
  using Mask = typename Lanes::Mask;
  static constexpr std::int64_t kLanes = Lanes::kCount;
  static constexpr std::uint32_t kAll = (1U << kLanes) - 1;
  static constexpr Number kEdgeFloor = 1e-6, kFlatEdge = 1e-3;  // that of boundary.cc, and its root: the edge of a flat target

 public:
  MaskRows(const MaskTask<Number>& task, std::byte* memory)
      : task_(task),
        height_(task.rows.out),
        width_(padded(task.columns.out)),
        vectors_(width_ / kLanes),
        full_vectors_(task.ignores ? 0 : task.columns.out / kLanes),
        low_width_(padded(task.columns.in)),
        wide_width_(width_ > 2 * low_width_ ? width_ : 2 * low_width_),
        kept_rows_(task.gradient == nullptr ? 3 : task.rows.longest + 3),
        arena_(memory),
        low_row_(arena_.take_padded<Number>(low_width_, kLanes)),
        logits_(arena_.take_padded<Number>(wide_width_, kLanes)),
        mixed_(arena_.take_padded<Number>(wide_width_, kLanes)),
        widened_(arena_, task.rows.taps, wide_width_, kLanes, task.rows.in),
        miss_(arena_, 3, width_, kLanes, height_),
        edge_grad_x_(arena_, 3, width_, kLanes, height_),
        edge_grad_y_(arena_, 3, width_, kLanes, height_),
        sigmoid_grad_(arena_, kept_rows_, width_, kLanes, height_),
        gradient_(arena_, kept_rows_, width_, kLanes, height_),
        target_(arena_, kept_rows_, vectors_, 1, height_),
        ignored_(arena_, 3, vectors_, 1, height_),
        extents_(arena_.take_padded<Extent>(height_, 1)),
        sources_(arena_.take<const Number*>(task.rows.longest + task.rows.taps)),
        meets_target_(arena_.take<bool>(task.rows.in)) {
    if (memory != nullptr) arena_.clear();  // the maps below are written before they are read
    map_ = arena_.take<Number>(task.rows.in * low_width_);
    sigmoid_grad_map_ = arena_.take<Number>(task.rows.in * low_width_);
    target_grad_map_ = arena_.take<Number>(task.rows.in * low_width_);
  }

  std::size_t memory() const { return arena_.used(); }

  MaskSums run() {
    if (task_.gradient == nullptr) {
      task_.focal_gamma == 2 ? sweep<false, true>() : sweep<false, false>();
    } else {
      task_.focal_gamma == 2 ? sweep<true, true>() : sweep<true, false>();
    }
    const double non_finite = Lanes::sum(non_finite_);  // 0 or NaN
    const double misses = miss_total_.value();
    // With M the sum of all misses, Dice's quotient of upper = lower - M and lower falls short of 1 by M / lower.
    const double lower =
        misses - 2 * target_miss_total_.value() + 2 * static_cast<double>(sums_.target_pixels) + task_.dice_smooth;
    sums_.focal = focal_total_.value() + non_finite;
    sums_.dice = task_.dice * misses / lower + non_finite;
    sums_.boundary = task_.boundary * boundary_total_.value() + non_finite;
    if (task_.gradient != nullptr) {
      finish_gradient(static_cast<Number>(task_.dice * (lower - misses) / (lower * lower)),
                      static_cast<Number>(task_.dice * -2 / lower), static_cast<Number>(non_finite));
    }
    return sums_;
  }

 private:
  static std::int64_t padded(std::int64_t width) { return (width + kLanes - 1) / kLanes * kLanes; }

  struct PixelRows {
    const Number* logits;
    Number *miss, *sigmoid_grad, *gradient;
  };
  struct PixelSums {
    Vector focal, miss, target_miss;
  };

  // Sobel's two filters along the columns, one of [1 2 1] and one of [-1 0 1].
  struct Vertical {
    Vector smooth, difference;
  };

  template <bool kGradient, bool kGammaIsTwo>
  void sweep() {
    const bool edges_count = task_.boundary != 0;
    for (std::int64_t row = 0; row < height_ + 2; ++row) {
      if (row < height_) {
        upsample(row);
        add_pixels<kGradient, kGammaIsTwo>(row);
        if (task_.overlap) count_overlap(row);
      }
      if (edges_count && row >= 1 && row - 1 < height_) add_edges<kGradient>(row - 1);
      if (!kGradient || row < 2) continue;
      if (edges_count) add_boundary_gradient(row - 2);
      gather(row - 2);
    }
  }

  // logits_ = the row of the tile.
  void upsample(std::int64_t row) {
    const auto& rows = task_.rows;
    const auto first = rows.first[row];
    if (next_widened_ < first) next_widened_ = first;
    for (; next_widened_ < first + rows.taps; ++next_widened_) {
      __builtin_memcpy(low_row_, task_.logits + next_widened_ * task_.columns.in, sizeof(Number) * task_.columns.in);
      for (std::int64_t x = 0; x < low_width_; x += kLanes) {
        non_finite_ = Lanes::fma(Lanes::load(low_row_ + x), Lanes::spread(0), non_finite_);
      }
      widen<Lanes>(task_.columns, low_row_, widened_(next_widened_));
    }
    for (std::int64_t k = 0; k < rows.taps; ++k) sources_[k] = widened_(first + k);
    mix_rows<Lanes>(sources_, rows.weights + row * rows.taps, rows.taps, width_, logits_);
  }

  template <bool kGradient, bool kGammaIsTwo>
  void add_pixels(std::int64_t row) {
    const auto columns = task_.columns.out;
    const std::int32_t* labels = task_.labels + row * columns;
    const auto id = Lanes::spread_label(task_.id), ignored = Lanes::spread_label(task_.ignored);
    const auto present = Lanes::from_bits(task_.present ? kAll : 0);
    std::uint32_t *target_bits = target_(row), *ignored_bits = ignored_(row);
    const PixelRows rows{logits_, miss_(row), sigmoid_grad_(row), gradient_(row)};
    PixelSums sums{Lanes::spread(0), Lanes::spread(0), Lanes::spread(0)};
    Extent extent;
    const auto note = [&](std::int64_t v, std::uint32_t bits) {
      target_bits[v] = bits;
      if (bits == 0) return;
      sums_.target_pixels += __builtin_popcount(bits);
      extent.add(v);
    };
    std::int64_t v = 0;
    for (; v < full_vectors_; ++v) {
      const Mask target = Lanes::equal(labels + v * kLanes, id) & present;
      note(v, Lanes::bits(target));
      add_pixel<kGradient, kGammaIsTwo, true>(rows, v * kLanes, target, target, sums);
    }
    for (; v < vectors_; ++v) {
      const auto inside = inside_bits(v);
      const Mask target = Lanes::equal(labels + v * kLanes, id, inside) & present;
      ignored_bits[v] = task_.ignores ? Lanes::bits(Lanes::equal(labels + v * kLanes, ignored, inside)) : 0;
      note(v, Lanes::bits(target));
      add_pixel<kGradient, kGammaIsTwo, false>(rows, v * kLanes, target, Lanes::from_bits(inside & ~ignored_bits[v]), sums);
    }
    extents_[row] = extent;
    focal_total_.add(sums.focal);
    miss_total_.add(sums.miss);
    target_miss_total_.add(sums.target_miss);
  }

  // One vector of pixels; `counted` is looked at unless all of them count (kAllCount).
  template <bool kGradient, bool kGammaIsTwo, bool kAllCount>
  [[gnu::always_inline]] void add_pixel(const PixelRows& rows, std::int64_t x, Mask target, Mask counted,
                                        PixelSums& sums) const {
    const auto z = Lanes::load(rows.logits + x);
    const Mask correct = Lanes::negative(z) ^ target;
    const auto size = Lanes::absolute(z);
    const auto e = Lanes::exp_negative(size);
    const auto likely = Lanes::reciprocal(e + Lanes::spread(1));  // the larger of σ(z) and σ(-z); `unlikely` the other
    const auto unlikely = e * likely;
    const auto entropy_if_correct = Lanes::log1p(e), entropy_if_wrong = entropy_if_correct + size;
    auto miss = Lanes::select(correct, unlikely, likely);
    const auto hit = Lanes::select(correct, likely, unlikely);
    const auto entropy = Lanes::select(correct, entropy_if_correct, entropy_if_wrong);
    const auto miss_power =
        kGammaIsTwo ? miss * miss
                    : Lanes::exp_negative(gamma_ * Lanes::select(correct, entropy_if_wrong, entropy_if_correct));  // miss^γ
    auto weight = miss_power * Lanes::select(target, Lanes::spread(task_.focal_target), Lanes::spread(task_.focal_other));
    auto sigmoid_grad = unlikely * likely;  // p (1 - p)
    const auto focal_factor = Lanes::fma(gamma_ * hit, entropy, miss);
    if (!kAllCount) {
      miss = Lanes::keep(counted, miss);
      weight = Lanes::keep(counted, weight);
      sigmoid_grad = Lanes::keep(counted, sigmoid_grad);
    }
    sums.focal = Lanes::fma(weight, entropy, sums.focal);
    sums.miss = sums.miss + miss;
    sums.target_miss = sums.target_miss + Lanes::keep(target, miss);
    Lanes::store(rows.miss + x, Lanes::negate(target, miss));
    if (!kGradient) return;
    Lanes::store(rows.sigmoid_grad + x, sigmoid_grad);
    Lanes::store(rows.gradient + x, Lanes::negate(target, weight * focal_factor));
  }

  void count_overlap(std::int64_t row) {
    const auto threshold = Lanes::spread(task_.threshold);
    for (std::int64_t v = 0; v < vectors_; ++v) {
      auto bits = Lanes::bits(Lanes::greater(Lanes::load(logits_ + v * kLanes), threshold));
      bits &= inside_bits(v) & ~(task_.ignores ? ignored_(row)[v] : 0);
      sums_.mask_pixels += __builtin_popcount(bits);
      sums_.overlap_pixels += __builtin_popcount(bits & target_(row)[v]);
    }
  }

  // The edges of a row, their part of the loss, and the rows of (2.9): the derivatives of the loss in both Sobel sums,
  // edge_weight times the sum, with edge_weight = sign(difference) / edge (the pi of docs/math.md).
  template <bool kGradient>
  void add_edges(std::int64_t row) {
    const Number *above = miss_(row - 1), *middle = miss_(row), *below = miss_(row + 1);
    Number *edge_grad_x = edge_grad_x_(row), *edge_grad_y = edge_grad_y_(row);
    const auto vertical = [&](std::int64_t v) -> Vertical {
      const auto a = Lanes::load(above + v * kLanes), c = Lanes::load(below + v * kLanes);
      return {Lanes::fma(Lanes::load(middle + v * kLanes), Lanes::spread(2), a + c), c - a};
    };
    Extent target_extent;  // where the windows may meet the target
    for (auto neighbour = row - 1; neighbour <= row + 1; ++neighbour) target_extent.add(extents_[neighbour]);
    if (!target_extent.empty()) target_extent = {target_extent.first - 1, target_extent.end + 1};
    auto sum = Lanes::spread(0);
    Vertical before{Lanes::spread(0), Lanes::spread(0)}, here = vertical(0);
    for (std::int64_t v = 0; v < vectors_; ++v) {
      const auto after = vertical(v + 1);
      auto gx = Lanes::following(here.smooth, after.smooth) - Lanes::preceding(before.smooth, here.smooth);
      auto gy = Lanes::fma(
          here.difference, Lanes::spread(2),
          Lanes::following(here.difference, after.difference) + Lanes::preceding(before.difference, here.difference));
      before = here;
      here = after;
      Vector edge_weight;
      if (v < full_vectors_ && (v < target_extent.first || v >= target_extent.end)) {
        // The target is flat here, so the difference is never negative; where it is 0 so are both Sobel sums.
        const auto square = Lanes::fma(gx, gx, Lanes::fma(gy, gy, Lanes::spread(kEdgeFloor)));
        edge_weight = Lanes::inverse_root(square);
        sum = sum + (square * edge_weight - Lanes::spread(kFlatEdge));
      } else {
        edge_weight = edge_weight_at_target(row, v, gx, gy, sum);
      }
      if (!kGradient) continue;
      Lanes::store(edge_grad_x + v * kLanes, edge_weight * gx);
      Lanes::store(edge_grad_y + v * kLanes, edge_weight * gy);
    }
    boundary_total_.add(sum);
  }

  // The general case of the above. Adds the target's Sobel sums to those of the miss, gx and gy. The sign of the difference of
  // both edges comes from that of their squares, in which the target's own sums cancel exactly: (2.10).
  Vector edge_weight_at_target(std::int64_t row, std::int64_t v, Vector& gx, Vector& gy, Vector& sum) const {
    std::uint32_t window[3], unknown = 0;  // bit i is column i - 1 of the vector
    for (int k = 0; k < 3; ++k) {
      window[k] = window_bits(target_(row - 1 + k) + v);
      if (task_.ignores) unknown |= window_bits(ignored_(row - 1 + k) + v);
    }
    unknown |= unknown >> 1 | unknown >> 2;
    const auto known = Lanes::from_bits(inside_bits(v) & ~unknown);
    const auto column = [&](int shift) {
      return Lanes::fma(ones_at(window[1] >> shift), Lanes::spread(2),
                        ones_at(window[0] >> shift) + ones_at(window[2] >> shift));
    };
    const auto line = [&](std::uint32_t bits) {
      return Lanes::fma(ones_at(bits >> 1), Lanes::spread(2), ones_at(bits) + ones_at(bits >> 2));
    };
    const auto hx = column(2) - column(0), hy = line(window[2]) - line(window[0]);
    const auto two = Lanes::spread(2), floor = Lanes::spread(kEdgeFloor);
    const auto difference = Lanes::fma(gx, Lanes::fma(two, hx, gx), gy * Lanes::fma(two, hy, gy));
    gx = gx + hx;
    gy = gy + hy;
    const auto square = Lanes::fma(gx, gx, Lanes::fma(gy, gy, floor));
    const auto inverse = Lanes::inverse_root(square);
    const auto target_edge = Lanes::root(Lanes::fma(hx, hx, Lanes::fma(hy, hy, floor)));
    sum = sum + Lanes::keep(known, Lanes::absolute(difference) / Lanes::fma(square, inverse, target_edge));
    const auto zero = Lanes::spread(0);
    const auto edge_weight =
        Lanes::keep(Lanes::greater(difference, zero), inverse) - Lanes::keep(Lanes::greater(zero, difference), inverse);
    return Lanes::keep(known, edge_weight);
  }

  // Adds the boundary's part to the gradient of a row. The adjoint of a correlation is the correlation with the flipped filter.
  void add_boundary_gradient(std::int64_t row) {
    const Number *edge_grad_x[3], *edge_grad_y[3];
    for (int k = 0; k < 3; ++k) {
      edge_grad_x[k] = edge_grad_x_(row - 1 + k);
      edge_grad_y[k] = edge_grad_y_(row - 1 + k);
    }
    const auto vertical = [&](std::int64_t v) -> Vertical {
      const auto x = v * kLanes;
      return {Lanes::fma(Lanes::load(edge_grad_x[1] + x), Lanes::spread(2),
                         Lanes::load(edge_grad_x[0] + x) + Lanes::load(edge_grad_x[2] + x)),
              Lanes::load(edge_grad_y[0] + x) - Lanes::load(edge_grad_y[2] + x)};
    };
    const auto scale = Lanes::spread(task_.boundary);
    const Number* sigmoid_grad = sigmoid_grad_(row);
    Number* gradient = gradient_(row);
    Vertical before{Lanes::spread(0), Lanes::spread(0)}, here = vertical(0);
    for (std::int64_t v = 0; v < vectors_; ++v) {
      const auto after = vertical(v + 1);
      const auto sides = Lanes::preceding(before.smooth, here.smooth) - Lanes::following(here.smooth, after.smooth);
      const auto ends =
          Lanes::preceding(before.difference, here.difference) + Lanes::following(here.difference, after.difference);
      const auto adjoint = Lanes::fma(here.difference, Lanes::spread(2), sides + ends);
      const auto x = v * kLanes;
      Lanes::store(gradient + x, Lanes::fma(adjoint, Lanes::load(sigmoid_grad + x) * scale, Lanes::load(gradient + x)));
      before = here;
      here = after;
    }
  }

  // Every low-resolution row that reaches no further than `row` of the tile gets its gradient.
  void gather(std::int64_t row) {
    const auto& rows = task_.rows;
    for (; next_gathered_ < rows.in; ++next_gathered_) {
      const auto low = next_gathered_;
      const std::int64_t count = rows.offsets[low + 1] - rows.offsets[low], first = rows.reached[low];
      if (first + count - 1 > row) return;
      if (count == 0) continue;
      const Number* weights = rows.reached_weights + rows.offsets[low];
      for (std::int64_t k = 0; k < count; ++k) sources_[k] = gradient_(first + k);
      mix_rows<Lanes>(sources_, weights, count, width_, mixed_);
      narrow<Lanes>(task_.columns, mixed_, map_ + low * low_width_);
      if (task_.dice == 0) continue;
      for (std::int64_t k = 0; k < count; ++k) sources_[k] = sigmoid_grad_(first + k);
      mix_rows<Lanes>(sources_, weights, count, width_, mixed_);
      narrow<Lanes>(task_.columns, mixed_, sigmoid_grad_map_ + low * low_width_);
      Extent extent;
      for (std::int64_t k = 0; k < count; ++k) extent.add(extents_[first + k]);
      if (extent.empty()) continue;
      meets_target_[low] = true;
      for (std::int64_t v = 0; v < vectors_; ++v) {
        auto sum = Lanes::spread(0);
        for (std::int64_t k = 0; k < count && v >= extent.first && v < extent.end; ++k) {
          const auto inside = Lanes::keep(Lanes::from_bits(target_(first + k)[v]), Lanes::load(sources_[k] + v * kLanes));
          sum = Lanes::fma(Lanes::spread(weights[k]), inside, sum);
        }
        Lanes::store(mixed_ + v * kLanes, sum);
      }
      narrow<Lanes>(task_.columns, mixed_, target_grad_map_ + low * low_width_);
    }
  }

  void finish_gradient(Number of_sigmoid_grad, Number of_target_grad, Number non_finite) const {
    const auto sigmoid_grad_factor = Lanes::spread(of_sigmoid_grad), target_grad_factor = Lanes::spread(of_target_grad);
    for (std::int64_t row = 0; row < task_.rows.in; ++row) {
      const bool reached = task_.rows.offsets[row + 1] > task_.rows.offsets[row];
      const bool dice = reached && task_.dice != 0, target = meets_target_[row];
      const auto begin = row * low_width_;
      for (std::int64_t x = 0; x < low_width_; x += kLanes) {
        auto sum = Lanes::spread(non_finite);
        if (reached) sum = sum + Lanes::load(map_ + begin + x);
        if (dice) sum = Lanes::fma(sigmoid_grad_factor, Lanes::load(sigmoid_grad_map_ + begin + x), sum);
        if (target) sum = Lanes::fma(target_grad_factor, Lanes::load(target_grad_map_ + begin + x), sum);
        Lanes::store(low_row_ + x, sum);
      }
      __builtin_memcpy(task_.gradient + row * task_.columns.in, low_row_, sizeof(Number) * task_.columns.in);
    }
  }

  std::uint32_t inside_bits(std::int64_t v) const {
    const auto rest = task_.columns.out - v * kLanes;
    return rest >= kLanes ? kAll : (1U << rest) - 1;
  }

  // A vector's bits, shifted by one, with the last bit of the one before and the first of the one after.
  static std::uint32_t window_bits(const std::uint32_t* bits) {
    return (bits[-1] >> (kLanes - 1)) | bits[0] << 1 | (bits[1] & 1U) << (kLanes + 1);
  }

  static Vector ones_at(std::uint32_t bits) { return Lanes::keep(Lanes::from_bits(bits & kAll), Lanes::spread(1)); }

  const MaskTask<Number>& task_;
  const std::int64_t height_, width_, vectors_;  // of the tile; width_ is padded to whole vectors
  const std::int64_t full_vectors_;              // of a row, its first ones, in which every pixel counts
  const std::int64_t low_width_, wide_width_;    // padded: of the map of logits, and the larger of both
  const std::int64_t kept_rows_;                 // of the tile, until a row of the map has gathered from them
  MaskArena arena_;
  Number *low_row_, *logits_, *mixed_;         // single rows
  RowRing<Number> widened_;                    // low rows at the tile's width
  RowRing<Number> miss_;                       // p - g
  RowRing<Number> edge_grad_x_, edge_grad_y_;  // derivatives in the two Sobel sums
  RowRing<Number> sigmoid_grad_;               // p (1 - p)
  RowRing<Number> gradient_;                   // of focal, then also of boundary
  RowRing<std::uint32_t> target_, ignored_;    // a bit per pixel, a word per vector
  Extent* extents_;                            // [height] of the target in each row
  const Number** sources_;
  bool* meets_target_;                                  // [low rows] that the target's map has something in
  Number *map_, *sigmoid_grad_map_, *target_grad_map_;  // [low rows,low_width_]: of focal and boundary, q, and g q (2.8)

  const Vector gamma_ = Lanes::spread(task_.focal_gamma);
  Vector non_finite_ = Lanes::spread(0);
  typename Lanes::Total focal_total_, miss_total_, target_miss_total_, boundary_total_;
  MaskSums sums_{};
  std::int64_t next_widened_ = 0, next_gathered_ = 0;
};

}  // namespace
}  // namespace cellsam::kernels
