// Resizing one axis of a map, several bilinear steps in one: which inputs an output is mixed from, and the same turned round.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam {

// What the kernels see of it. No code may stand here: it would be compiled for more than one instruction set.
template <class Number>
struct AxisView {
  std::int64_t in, out;
  std::int64_t taps;              // per output
  const std::int32_t* first;      // [out] first input of an output
  const Number* weights;          // [out,taps]
  const std::int32_t* reached;    // [in] first output that an input reaches
  const std::int32_t* offsets;    // [in+1] where the weights of an input's outputs begin; they follow one another
  const Number* reached_weights;  // [offsets[in]]
  std::int64_t longest;           // most outputs of one input
  bool doubles;                   // the plain step from n to 2n: weights .25 and .75
};

template <class Number>
class AxisTaps {
 public:
  // Through every length of `lengths` in turn, each step as upsample_bilinear2d(align_corners=false) weighs. The product is
  // made in float64.
  explicit AxisTaps(const std::vector<std::int64_t>& lengths);

  AxisView<Number> view() const;

 private:
  std::int64_t in_, out_, taps_, longest_ = 0;
  bool doubles_;
  std::vector<std::int32_t> first_, reached_, offsets_;
  std::vector<Number> weights_, reached_weights_;
};

extern template class AxisTaps<float>;
extern template class AxisTaps<double>;

}  // namespace cellsam
