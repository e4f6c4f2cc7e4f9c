// The mask loss of one prompt in a single sweep over the rows of its tile, for any kind of `Lanes`. A row is upsampled and
// turned into losses; one row later its edges are known, two rows later its whole gradient, which is then gathered into the
// rows of the low-resolution map. See mask_buffers.h for what may stand here.
//
// What is kept of a pixel is its miss d = p - g, never p itself: a confident p rounds to 1, its miss keeps every digit. Sobel's
// filters are linear, so the predicted edges are those of d plus those of the target. Dice's gradient is affine in the target
// with factors that only the sums give: maps of p(1-p), and of the same inside the target, are gathered and mixed in at the
// end.
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
  static constexpr Number kEdgeFloor = 1e-6, kFlatEdge = 1e-3;  // boundary.cc's, and its root

 public:
  MaskRows(const MaskTask<Number>& task, std::byte* memory)
      : task_(task),
        height_(task.rows.out),
        width_(padded(task.columns.out)),
        vectors_(width_ / kLanes),
        whole_(task.ignores ? 0 : task.columns.out / kLanes),
        low_width_(padded(task.columns.in)),
        wide_(width_ > 2 * low_width_ ? width_ : 2 * low_width_),
        history_(task.gradient == nullptr ? 3 : task.rows.longest + 3),
        arena_(memory),
        low_(arena_.take_padded<Number>(low_width_, kLanes)),
        logits_(arena_.take_padded<Number>(wide_, kLanes)),
        mixed_(arena_.take_padded<Number>(wide_, kLanes)),
        widened_(arena_, task.rows.taps, wide_, kLanes, task.rows.in),
        miss_(arena_, 3, width_, kLanes, height_),
        across_(arena_, 3, width_, kLanes, height_),
        down_(arena_, 3, width_, kLanes, height_),
        slope_(arena_, history_, width_, kLanes, height_),
        gradient_(arena_, history_, width_, kLanes, height_),
        target_(arena_, history_, vectors_, 1, height_),
        ignored_(arena_, 3, vectors_, 1, height_),
        extents_(arena_.take_padded<Extent>(height_, 1)),
        sources_(arena_.take<const Number*>(task.rows.longest + task.rows.taps)),
        meets_target_(arena_.take<bool>(task.rows.in)) {
    if (memory != nullptr) arena_.clear();  // the maps below are written before they are read
    map_ = arena_.take<Number>(task.rows.in * low_width_);
    slope_map_ = arena_.take<Number>(task.rows.in * low_width_);
    target_map_ = arena_.take<Number>(task.rows.in * low_width_);
  }

  std::size_t memory() const { return arena_.used(); }

  MaskSums run() {
    if (task_.gradient == nullptr) {
      task_.focal_gamma == 2 ? sweep<false, true>() : sweep<false, false>();
    } else {
      task_.focal_gamma == 2 ? sweep<true, true>() : sweep<true, false>();
    }
    const double poison = Lanes::sum(poison_);  // 0 or NaN
    const double misses = miss_total_.value();
    // With M the sum of all misses, Dice's quotient of upper = lower - M and lower falls short of 1 by M / lower.
    const double lower = misses - 2 * target_miss_total_.value() + 2 * static_cast<double>(sums_.truth) + task_.dice_smooth;
    sums_.focal = focal_total_.value() + poison;
    sums_.dice = task_.dice * misses / lower + poison;
    sums_.boundary = task_.boundary * boundary_total_.value() + poison;
    if (task_.gradient != nullptr) {
      finish_gradient(static_cast<Number>(task_.dice * (lower - misses) / (lower * lower)),
                      static_cast<Number>(task_.dice * -2 / lower), static_cast<Number>(poison));
    }
    return sums_;
  }

 private:
  static std::int64_t padded(std::int64_t width) { return (width + kLanes - 1) / kLanes * kLanes; }

  struct PixelRows {
    const Number* logits;
    Number *miss, *slope, *gradient;
  };
  struct PixelSums {
    Vector focal, miss, target_miss;
  };

  // Sobel's two filters along the columns, one of [1 2 1] and one of [-1 0 1].
  struct Vertical {
    Vector smooth, difference;
  };

  template <bool kGradient, bool kSquare>
  void sweep() {
    const bool edges_count = task_.boundary != 0;
    for (std::int64_t row = 0; row < height_ + 2; ++row) {
      if (row < height_) {
        upsample(row);
        add_pixels<kGradient, kSquare>(row);
        if (task_.overlap) count_overlap(row);
      }
      if (edges_count && row >= 1 && row - 1 < height_) add_edges<kGradient>(row - 1);
      if (!kGradient || row < 2) continue;
      if (edges_count) pull_edges(row - 2);
      gather(row - 2);
    }
  }

  // logits_ = the row of the tile.
  void upsample(std::int64_t row) {
    const auto& rows = task_.rows;
    const auto first = rows.first[row];
    if (next_widened_ < first) next_widened_ = first;
    for (; next_widened_ < first + rows.taps; ++next_widened_) {
      __builtin_memcpy(low_, task_.logits + next_widened_ * task_.columns.in, sizeof(Number) * task_.columns.in);
      for (std::int64_t x = 0; x < low_width_; x += kLanes) {
        poison_ = Lanes::fma(Lanes::load(low_ + x), Lanes::spread(0), poison_);
      }
      widen<Lanes>(task_.columns, low_, widened_(next_widened_));
    }
    for (std::int64_t k = 0; k < rows.taps; ++k) sources_[k] = widened_(first + k);
    mix_rows<Lanes>(sources_, rows.weights + row * rows.taps, rows.taps, width_, logits_);
  }

  template <bool kGradient, bool kSquare>
  void add_pixels(std::int64_t row) {
    const auto columns = task_.columns.out;
    const std::int32_t* labels = task_.labels + row * columns;
    const auto id = Lanes::spread_label(task_.id), ignored = Lanes::spread_label(task_.ignored);
    const auto present = Lanes::from_bits(task_.present ? kAll : 0);
    std::uint32_t *target_bits = target_(row), *ignored_bits = ignored_(row);
    const PixelRows rows{logits_, miss_(row), slope_(row), gradient_(row)};
    PixelSums sums{Lanes::spread(0), Lanes::spread(0), Lanes::spread(0)};
    Extent extent;
    const auto note = [&](std::int64_t v, std::uint32_t bits) {
      target_bits[v] = bits;
      if (bits == 0) return;
      sums_.truth += __builtin_popcount(bits);
      extent.add(v);
    };
    std::int64_t v = 0;
    for (; v < whole_; ++v) {
      const Mask target = Lanes::equal(labels + v * kLanes, id) & present;
      note(v, Lanes::bits(target));
      add_pixel<kGradient, kSquare, true>(rows, v * kLanes, target, target, sums);
    }
    for (; v < vectors_; ++v) {
      const auto inside = inside_bits(v);
      const Mask target = Lanes::equal(labels + v * kLanes, id, inside) & present;
      ignored_bits[v] = task_.ignores ? Lanes::bits(Lanes::equal(labels + v * kLanes, ignored, inside)) : 0;
      note(v, Lanes::bits(target));
      add_pixel<kGradient, kSquare, false>(rows, v * kLanes, target, Lanes::from_bits(inside & ~ignored_bits[v]), sums);
    }
    extents_[row] = extent;
    focal_total_.add(sums.focal);
    miss_total_.add(sums.miss);
    target_miss_total_.add(sums.target_miss);
  }

  // One vector of pixels; `counted` is looked at unless all of them count (kEach).
  template <bool kGradient, bool kSquare, bool kEach>
  [[gnu::always_inline]] void add_pixel(const PixelRows& rows, std::int64_t x, Mask target, Mask counted,
                                        PixelSums& sums) const {
    const auto z = Lanes::load(rows.logits + x);
    const Mask right = Lanes::negative(z) ^ target;
    const auto size = Lanes::absolute(z);
    const auto e = Lanes::exp_negative(size);
    const auto big = Lanes::reciprocal(e + Lanes::spread(1));  // of σ(z) and σ(-z)
    const auto small = e * big;
    const auto near = Lanes::log1p(e), far = near + size;  // of -ln σ(z) and -ln σ(-z)
    auto miss = Lanes::select(right, small, big);
    const auto hit = Lanes::select(right, big, small);
    const auto entropy = Lanes::select(right, near, far);
    const auto faded = kSquare ? miss * miss : Lanes::exp_negative(gamma_ * Lanes::select(right, far, near));  // miss^γ
    auto weight = faded * Lanes::select(target, Lanes::spread(task_.focal_target), Lanes::spread(task_.focal_other));
    auto slope = small * big;  // p (1 - p)
    const auto pull = Lanes::fma(gamma_ * hit, entropy, miss);
    if (!kEach) {
      miss = Lanes::keep(counted, miss);
      weight = Lanes::keep(counted, weight);
      slope = Lanes::keep(counted, slope);
    }
    sums.focal = Lanes::fma(weight, entropy, sums.focal);
    sums.miss = sums.miss + miss;
    sums.target_miss = sums.target_miss + Lanes::keep(target, miss);
    Lanes::store(rows.miss + x, Lanes::negate(target, miss));
    if (!kGradient) return;
    Lanes::store(rows.slope + x, slope);
    Lanes::store(rows.gradient + x, Lanes::negate(target, weight * pull));
  }

  void count_overlap(std::int64_t row) {
    const auto threshold = Lanes::spread(task_.threshold);
    for (std::int64_t v = 0; v < vectors_; ++v) {
      auto bits = Lanes::bits(Lanes::greater(Lanes::load(logits_ + v * kLanes), threshold));
      bits &= inside_bits(v) & ~(task_.ignores ? ignored_(row)[v] : 0);
      sums_.predicted += __builtin_popcount(bits);
      sums_.shared += __builtin_popcount(bits & target_(row)[v]);
    }
  }

  // The edges of a row, their share of the loss, and what each one's slopes pull at: sign / edge * slopes.
  template <bool kGradient>
  void add_edges(std::int64_t row) {
    const Number *above = miss_(row - 1), *middle = miss_(row), *below = miss_(row + 1);
    Number *across = across_(row), *down = down_(row);
    const auto vertical = [&](std::int64_t v) -> Vertical {
      const auto a = Lanes::load(above + v * kLanes), c = Lanes::load(below + v * kLanes);
      return {Lanes::fma(Lanes::load(middle + v * kLanes), Lanes::spread(2), a + c), c - a};
    };
    Extent busy;  // where the windows may meet the target
    for (auto near = row - 1; near <= row + 1; ++near) busy.add(extents_[near]);
    if (!busy.empty()) busy = {busy.first - 1, busy.end + 1};
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
      Vector pull;
      if (v < whole_ && (v < busy.first || v >= busy.end)) {
        // The target is flat here, so the difference is never negative; where it is 0 so are the slopes.
        const auto square = Lanes::fma(gx, gx, Lanes::fma(gy, gy, Lanes::spread(kEdgeFloor)));
        pull = Lanes::inverse_root(square);
        sum = sum + (square * pull - Lanes::spread(kFlatEdge));
      } else {
        pull = pull_at_target(row, v, gx, gy, sum);
      }
      if (!kGradient) continue;
      Lanes::store(across + v * kLanes, pull * gx);
      Lanes::store(down + v * kLanes, pull * gy);
    }
    boundary_total_.add(sum);
  }

  // The general case of the above. Adds the target's slopes to those of the miss. The sign of the difference comes from the
  // difference of the squares, in which the target's own slopes cancel exactly.
  Vector pull_at_target(std::int64_t row, std::int64_t v, Vector& gx, Vector& gy, Vector& sum) const {
    std::uint32_t window[3], unknown = 0;  // bit i is column i - 1 of the vector
    for (int k = 0; k < 3; ++k) {
      window[k] = window_of(target_(row - 1 + k) + v);
      if (task_.ignores) unknown |= window_of(ignored_(row - 1 + k) + v);
    }
    unknown |= unknown >> 1 | unknown >> 2;
    const auto known = Lanes::from_bits(inside_bits(v) & ~unknown);
    const auto column = [&](int shift) {
      return Lanes::fma(set_bits(window[1] >> shift), Lanes::spread(2),
                        set_bits(window[0] >> shift) + set_bits(window[2] >> shift));
    };
    const auto line = [&](std::uint32_t bits) {
      return Lanes::fma(set_bits(bits >> 1), Lanes::spread(2), set_bits(bits) + set_bits(bits >> 2));
    };
    const auto hx = column(2) - column(0), hy = line(window[2]) - line(window[0]);
    const auto two = Lanes::spread(2), floor = Lanes::spread(kEdgeFloor);
    const auto difference = Lanes::fma(gx, Lanes::fma(two, hx, gx), gy * Lanes::fma(two, hy, gy));
    gx = gx + hx;
    gy = gy + hy;
    const auto square = Lanes::fma(gx, gx, Lanes::fma(gy, gy, floor));
    const auto inverse = Lanes::inverse_root(square);
    const auto truth = Lanes::root(Lanes::fma(hx, hx, Lanes::fma(hy, hy, floor)));
    sum = sum + Lanes::keep(known, Lanes::absolute(difference) / Lanes::fma(square, inverse, truth));
    const auto zero = Lanes::spread(0);
    const auto pull =
        Lanes::keep(Lanes::greater(difference, zero), inverse) - Lanes::keep(Lanes::greater(zero, difference), inverse);
    return Lanes::keep(known, pull);
  }

  // Adds the boundary's part to the gradient of a row. The adjoint of a correlation is the correlation with the flipped filter.
  void pull_edges(std::int64_t row) {
    const Number *across[3], *down[3];
    for (int k = 0; k < 3; ++k) {
      across[k] = across_(row - 1 + k);
      down[k] = down_(row - 1 + k);
    }
    const auto vertical = [&](std::int64_t v) -> Vertical {
      const auto x = v * kLanes;
      return {Lanes::fma(Lanes::load(across[1] + x), Lanes::spread(2), Lanes::load(across[0] + x) + Lanes::load(across[2] + x)),
              Lanes::load(down[0] + x) - Lanes::load(down[2] + x)};
    };
    const auto scale = Lanes::spread(task_.boundary);
    const Number* slope = slope_(row);
    Number* gradient = gradient_(row);
    Vertical before{Lanes::spread(0), Lanes::spread(0)}, here = vertical(0);
    for (std::int64_t v = 0; v < vectors_; ++v) {
      const auto after = vertical(v + 1);
      const auto sides = Lanes::preceding(before.smooth, here.smooth) - Lanes::following(here.smooth, after.smooth);
      const auto ends =
          Lanes::preceding(before.difference, here.difference) + Lanes::following(here.difference, after.difference);
      const auto pull = Lanes::fma(here.difference, Lanes::spread(2), sides + ends);
      const auto x = v * kLanes;
      Lanes::store(gradient + x, Lanes::fma(pull, Lanes::load(slope + x) * scale, Lanes::load(gradient + x)));
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
      for (std::int64_t k = 0; k < count; ++k) sources_[k] = slope_(first + k);
      mix_rows<Lanes>(sources_, weights, count, width_, mixed_);
      narrow<Lanes>(task_.columns, mixed_, slope_map_ + low * low_width_);
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
      narrow<Lanes>(task_.columns, mixed_, target_map_ + low * low_width_);
    }
  }

  void finish_gradient(Number of_slope, Number of_target, Number poison) const {
    const auto slope_factor = Lanes::spread(of_slope), target_factor = Lanes::spread(of_target);
    for (std::int64_t row = 0; row < task_.rows.in; ++row) {
      const bool reached = task_.rows.offsets[row + 1] > task_.rows.offsets[row];
      const bool dice = reached && task_.dice != 0, target = meets_target_[row];
      const auto begin = row * low_width_;
      for (std::int64_t x = 0; x < low_width_; x += kLanes) {
        auto sum = Lanes::spread(poison);
        if (reached) sum = sum + Lanes::load(map_ + begin + x);
        if (dice) sum = Lanes::fma(slope_factor, Lanes::load(slope_map_ + begin + x), sum);
        if (target) sum = Lanes::fma(target_factor, Lanes::load(target_map_ + begin + x), sum);
        Lanes::store(low_ + x, sum);
      }
      __builtin_memcpy(task_.gradient + row * task_.columns.in, low_, sizeof(Number) * task_.columns.in);
    }
  }

  std::uint32_t inside_bits(std::int64_t v) const {
    const auto rest = task_.columns.out - v * kLanes;
    return rest >= kLanes ? kAll : (1U << rest) - 1;
  }

  // A vector's bits, shifted by one, with the last bit of the one before and the first of the one after.
  static std::uint32_t window_of(const std::uint32_t* bits) {
    return (bits[-1] >> (kLanes - 1)) | bits[0] << 1 | (bits[1] & 1U) << (kLanes + 1);
  }

  static Vector set_bits(std::uint32_t bits) { return Lanes::keep(Lanes::from_bits(bits & kAll), Lanes::spread(1)); }

  const MaskTask<Number>& task_;
  const std::int64_t height_, width_, vectors_,
      whole_;  // of the tile; whole: vectors in which every pixel counts, the first ones
  const std::int64_t low_width_, wide_, history_;
  MaskArena arena_;
  Number *low_, *logits_, *mixed_;           // single rows
  RowRing<Number> widened_;                  // low rows at the tile's width
  RowRing<Number> miss_;                     // p - g
  RowRing<Number> across_, down_;            // what the edges pull at
  RowRing<Number> slope_;                    // p (1 - p)
  RowRing<Number> gradient_;                 // of focal, then also of boundary
  RowRing<std::uint32_t> target_, ignored_;  // a bit per pixel, a word per vector
  Extent* extents_;                          // [height] of the target in each row
  const Number** sources_;
  bool* meets_target_;  // [low rows] that the target's map has something in
  Number *map_, *slope_map_, *target_map_;

  const Vector gamma_ = Lanes::spread(task_.focal_gamma);
  Vector poison_ = Lanes::spread(0);
  typename Lanes::Total focal_total_, miss_total_, target_miss_total_, boundary_total_;
  MaskSums sums_{};
  std::int64_t next_widened_ = 0, next_gathered_ = 0;
};

template <class Lanes>
MaskKernel<typename Lanes::Number> kernel_of() {
  using Task = MaskTask<typename Lanes::Number>;
  return {[](const Task& task) { return MaskRows<Lanes>(task, nullptr).memory(); },
          [](const Task& task, std::byte* memory) {
            const typename Lanes::Mode mode;
            return MaskRows<Lanes>(task, memory).run();
          }};
}

}  // namespace
}  // namespace cellsam::kernels
