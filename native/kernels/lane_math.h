// What the vectors of x86 share whatever their width: e^-a and ln(1+e) in float32, with errors of about one unit in the last
// place, and how they round what is tiny.
#pragma once

#include <immintrin.h>

namespace cellsam::kernels {
namespace {

// While it exists, results below 1e-38 become 0 in whatever thread this runs, or the same input could give different bits.
class FlushesTiny {
 public:
  FlushesTiny() { _mm_setcsr(before_ | 0x8040U); }
  ~FlushesTiny() { _mm_setcsr(before_); }
  FlushesTiny(const FlushesTiny&) = delete;
  FlushesTiny& operator=(const FlushesTiny&) = delete;

 private:
  unsigned before_ = _mm_getcsr();
};

// For 0 <= a. The polynomial of least relative error, 2e-9, on half an octave to both sides of 0; exactly 1 for a = 0.
template <class Lanes>
inline typename Lanes::Vector polynomial_exp(typename Lanes::Vector a) {
  const auto c = [](float x) { return Lanes::spread(x); };
  const auto whole = Lanes::nearest(a * c(-1.44269504F));
  const auto r = Lanes::fma(whole, c(-0.693147182F), -a);  // the constant's own error is 2e-9 of an octave
  auto p = Lanes::fma(c(1.383684226e-03F), r, c(8.374815807e-03F));
  p = Lanes::fma(p, r, c(4.166822508e-02F));
  p = Lanes::fma(p, r, c(1.666641980e-01F));
  p = Lanes::fma(p, r, c(4.999999106e-01F));
  p = Lanes::fma(p, r, c(1.0F));
  p = Lanes::fma(p, r, c(1.0F));
  return Lanes::times_power_of_two(p, whole);
}

// For 0 <= e <= 1. The polynomial of least relative error, 3e-8, for ln(1+e)/e, so that small e keep their digits.
template <class Lanes>
inline typename Lanes::Vector polynomial_log1p(typename Lanes::Vector e) {
  const auto c = [](float x) { return Lanes::spread(x); };
  auto p = Lanes::fma(c(5.232623778e-03F), e, c(-2.950495668e-02F));
  p = Lanes::fma(p, e, c(7.822549343e-02F));
  p = Lanes::fma(p, e, c(-1.366320699e-01F));
  p = Lanes::fma(p, e, c(1.910598874e-01F));
  p = Lanes::fma(p, e, c(-2.484297752e-01F));
  p = Lanes::fma(p, e, c(3.331909478e-01F));
  p = Lanes::fma(p, e, c(-4.999949336e-01F));
  p = Lanes::fma(p, e, c(9.999999404e-01F));
  return p * e;
}

}  // namespace
}  // namespace cellsam::kernels
