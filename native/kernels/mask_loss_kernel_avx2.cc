// Eight pixels at a time with AVX2 and FMA. Built with the instructions allowed (CMakeLists.txt), so it must not be called
// unless the CPU has them.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/flush_subnormals.h"
#include "kernels/mask_loss_kernel_table.h"
#include "kernels/vector.h"

namespace cellsam::kernels {

namespace {

struct Eight {
  using Number = float;
  using Vector = __m256;
  using Mask = __m256i;  // all bits of a lane or none
  static constexpr std::int64_t kCount = 8;

  using Mode = FlushSubnormals;
  class Total {
   public:
    void add(__m256 x) {
      low_ += _mm256_cvtps_pd(_mm256_castps256_ps128(x));
      high_ += _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    }
    double value() const {
      const __m256d sum = low_ + high_;
      return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }

   private:
    __m256d low_ = _mm256_setzero_pd(), high_ = _mm256_setzero_pd();
  };

  static __m256 spread(float x) { return _mm256_set1_ps(x); }
  static __m256i spread_label(std::int32_t x) { return _mm256_set1_epi32(x); }
  static __m256 load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, __m256 x) { _mm256_storeu_ps(to, x); }
  static __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
  static __m256 absolute(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x); }
  static __m256 nearest(__m256 x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static __m256 times_power_of_two(__m256 x, __m256 exponent) {
    const __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(exponent), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), shift));
  }
  // Held above the smallest normal number, below which the exponent's bits run over.
  static __m256 exp_negative(__m256 x) { return exp_minus<Eight>(_mm256_min_ps(x, _mm256_set1_ps(86))); }
  static __m256 log1p(__m256 x) { return log1p_unit<Eight>(x); }
  static __m256 root(__m256 x) { return _mm256_sqrt_ps(x); }
  static __m256 reciprocal(__m256 x) { return _mm256_div_ps(_mm256_set1_ps(1), x); }
  static __m256 inverse_root(__m256 x) { return _mm256_div_ps(_mm256_set1_ps(1), _mm256_sqrt_ps(x)); }
  static double sum(__m256 x) {
    double total = 0;
    for (int i = 0; i < 8; ++i) total += x[i];
    return total;
  }

  static __m256i negative(__m256 x) { return greater(_mm256_setzero_ps(), x); }
  static __m256i greater(__m256 a, __m256 b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
  static __m256i equal(const std::int32_t* labels, __m256i id) {
    return _mm256_cmpeq_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(labels)), id);
  }
  static __m256i equal(const std::int32_t* labels, __m256i id, std::uint32_t inside) {
    const __m256i mask = from_bits(inside);
    return _mm256_and_si256(mask, _mm256_cmpeq_epi32(_mm256_maskload_epi32(labels, mask), id));
  }
  static __m256i from_bits(std::uint32_t bits) {
    const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lanes), lanes);
  }
  static std::uint32_t bits(__m256i mask) { return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(mask))); }
  static __m256 select(__m256i mask, __m256 yes, __m256 no) { return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask)); }
  static __m256 keep(__m256i mask, __m256 x) { return _mm256_and_ps(_mm256_castsi256_ps(mask), x); }
  static __m256 negate(__m256i mask, __m256 x) {
    return _mm256_xor_ps(x, _mm256_and_ps(_mm256_castsi256_ps(mask), _mm256_set1_ps(-0.0F)));
  }

  static __m256 preceding(__m256 before, __m256 here) {
    const __m256i middle = _mm256_castps_si256(_mm256_permute2f128_ps(before, here, 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(here), middle, 12));
  }
  static __m256 following(__m256 here, __m256 after) {
    const __m256i middle = _mm256_castps_si256(_mm256_permute2f128_ps(here, after, 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(middle, _mm256_castps_si256(here), 4));
  }
  static void zip(__m256 even, __m256 odd, __m256& low, __m256& high) {
    const __m256 first = _mm256_unpacklo_ps(even, odd), second = _mm256_unpackhi_ps(even, odd);
    low = _mm256_permute2f128_ps(first, second, 0x20);
    high = _mm256_permute2f128_ps(first, second, 0x31);
  }
  static void unzip(__m256 low, __m256 high, __m256& even, __m256& odd) {
    const __m256 first = _mm256_permute2f128_ps(low, high, 0x20), second = _mm256_permute2f128_ps(low, high, 0x31);
    even = _mm256_shuffle_ps(first, second, 0x88);
    odd = _mm256_shuffle_ps(first, second, 0xDD);
  }
};

}  // namespace

MaskKernel<float> mask_kernel_avx2() { return kernel_of<Eight>(); }

}  // namespace cellsam::kernels
#endif
