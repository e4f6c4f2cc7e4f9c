// One pixel at a time in plain C++: for float64, for other architectures and for x86 without AVX2.
#include <cmath>

#include "kernels/mask_loss_kernel_table.h"

namespace cellsam::kernels {

namespace {

template <class T>
struct Single {
  using Number = T;
  using Vector = T;
  using Mask = std::uint32_t;
  static constexpr std::int64_t kCount = 1;

  struct Mode {
    Mode() {}
  };
  class Total {
   public:
    void add(T x) { sum_ += x; }
    double value() const { return sum_; }

   private:
    double sum_ = 0;
  };

  static T spread(T x) { return x; }
  static std::int32_t spread_label(std::int32_t x) { return x; }
  static T load(const T* from) { return *from; }
  static void store(T* to, T x) { *to = x; }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T absolute(T x) { return std::abs(x); }
  static T reciprocal(T x) { return 1 / x; }
  static T root(T x) { return std::sqrt(x); }
  static T inverse_root(T x) { return 1 / std::sqrt(x); }
  static T exp_negative(T x) { return std::exp(-x); }
  static T log1p(T x) { return std::log1p(x); }
  static double sum(T x) { return x; }

  static Mask negative(T x) { return x < 0; }
  static Mask greater(T a, T b) { return a > b; }
  static Mask equal(const std::int32_t* labels, std::int32_t id) { return *labels == id; }
  static Mask equal(const std::int32_t* labels, std::int32_t id, std::uint32_t /*inside*/) { return *labels == id; }
  static Mask from_bits(std::uint32_t bits) { return bits; }
  static std::uint32_t bits(Mask mask) { return mask; }
  static T select(Mask mask, T yes, T no) { return mask != 0 ? yes : no; }
  static T keep(Mask mask, T x) { return mask != 0 ? x : 0; }
  static T negate(Mask mask, T x) { return mask != 0 ? -x : x; }

  static T preceding(T before, T /*here*/) { return before; }
  static T following(T /*here*/, T after) { return after; }
  static void zip(T even, T odd, T& low, T& high) {
    low = even;
    high = odd;
  }
  static void unzip(T low, T high, T& even, T& odd) {
    even = low;
    odd = high;
  }
};

}  // namespace

template <>
MaskKernel<float> mask_kernel_portable() {
  return kernel_of<Single<float>>();
}

template <>
MaskKernel<double> mask_kernel_portable() {
  return kernel_of<Single<double>>();
}

}  // namespace cellsam::kernels
