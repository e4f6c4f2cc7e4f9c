// Sixteen pixels at a time with AVX-512. Built with the instructions allowed (CMakeLists.txt), so it must not be called unless
// the CPU has them.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/flush_subnormals.h"
#include "kernels/mask_loss_kernel_table.h"
#include "kernels/vector.h"

namespace cellsam::kernels {

namespace {

struct Sixteen {
  using Number = float;
  using Vector = __m512;
  using Mask = __mmask16;
  static constexpr std::int64_t kCount = 16;

  using Mode = FlushSubnormals;
  class Total {
   public:
    void add(__m512 x) {
      low_ += _mm512_cvtps_pd(_mm512_castps512_ps256(x));
      high_ += _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
    }
    double value() const { return _mm512_reduce_add_pd(low_ + high_); }

   private:
    __m512d low_ = _mm512_setzero_pd(), high_ = _mm512_setzero_pd();
  };

  static __m512 spread(float x) { return _mm512_set1_ps(x); }
  static __m512i spread_label(std::int32_t x) { return _mm512_set1_epi32(x); }
  static __m512 load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, __m512 x) { _mm512_storeu_ps(to, x); }
  static __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
  static __m512 absolute(__m512 x) { return _mm512_abs_ps(x); }
  static __m512 nearest(__m512 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static __m512 times_power_of_two(__m512 x, __m512 exponent) { return _mm512_scalef_ps(x, exponent); }
  static __m512 exp_negative(__m512 x) { return exp_minus<Sixteen>(x); }
  static __m512 log1p(__m512 x) { return log1p_unit<Sixteen>(x); }
  static __m512 root(__m512 x) { return _mm512_sqrt_ps(x); }
  // A step of Newton's method doubles the 14 bits of the estimate.
  static __m512 reciprocal(__m512 x) {
    const __m512 y = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(1)), y);
  }
  static __m512 inverse_root(__m512 x) {
    const __m512 y = _mm512_rsqrt14_ps(x);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(x * y, y * _mm512_set1_ps(0.5F), _mm512_set1_ps(0.5F)), y);
  }
  static double sum(__m512 x) { return _mm512_reduce_add_ps(x); }

  static __mmask16 negative(__m512 x) { return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ); }
  static __mmask16 greater(__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static __mmask16 equal(const std::int32_t* labels, __m512i id) {
    return _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(labels), id);
  }
  static __mmask16 equal(const std::int32_t* labels, __m512i id, std::uint32_t inside) {
    const auto mask = from_bits(inside);
    return _mm512_mask_cmpeq_epi32_mask(mask, _mm512_maskz_loadu_epi32(mask, labels), id);
  }
  static __mmask16 from_bits(std::uint32_t bits) { return static_cast<__mmask16>(bits); }
  static std::uint32_t bits(__mmask16 mask) { return mask; }
  static __m512 select(__mmask16 mask, __m512 yes, __m512 no) { return _mm512_mask_blend_ps(mask, no, yes); }
  static __m512 keep(__mmask16 mask, __m512 x) { return _mm512_maskz_mov_ps(mask, x); }
  static __m512 negate(__mmask16 mask, __m512 x) { return _mm512_mask_sub_ps(x, mask, _mm512_setzero_ps(), x); }

  static __m512 preceding(__m512 before, __m512 here) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(here), _mm512_castps_si512(before), 15));
  }
  static __m512 following(__m512 here, __m512 after) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(after), _mm512_castps_si512(here), 1));
  }
  static void zip(__m512 even, __m512 odd, __m512& low, __m512& high) {
    low = _mm512_permutex2var_ps(even, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = _mm512_permutex2var_ps(even, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
  }
  static void unzip(__m512 low, __m512 high, __m512& even, __m512& odd) {
    even = _mm512_permutex2var_ps(low, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), high);
    odd = _mm512_permutex2var_ps(low, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), high);
  }
};

}  // namespace

MaskKernel<float> mask_kernel_avx512() { return kernel_of<Sixteen>(); }

}  // namespace cellsam::kernels
#endif
