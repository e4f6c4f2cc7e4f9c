// How the x86 kernels of the mask losses round what is tiny.
#pragma once

#include <immintrin.h>

namespace cellsam::kernels {
namespace {

// While it exists, results below 1e-38 become 0 in whatever thread this runs, or the same input could give different bits.
class FlushSubnormals {
 public:
  FlushSubnormals() { _mm_setcsr(before_ | 0x8040U); }
  ~FlushSubnormals() { _mm_setcsr(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned before_ = _mm_getcsr();
};

}  // namespace
}  // namespace cellsam::kernels
