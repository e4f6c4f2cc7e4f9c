// Bilinear resizing along one axis of a map, with several steps in one: the weights with which outputs are sums of inputs (the
// filter taps), and the transpose, which a backward pass needs.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam {

// What kernels get. No code may be added here: it would be compiled for more than one instruction set.
template <class Number>
struct AxisView {
  std::int64_t in, out;
  std::int64_t taps;              // inputs of each output
  const std::int32_t* first;      // [out] first input of an output
  const Number* weights;          // [out,taps]
  const std::int32_t* reached;    // [in] first output that depends on an input
  const std::int32_t* offsets;    // [in+1] where an input's weights begin in reached_weights; its outputs follow one another
  const Number* reached_weights;  // [offsets[in]]
  std::int64_t longest;           // largest number of outputs of one input
  bool doubles;                   // a single step from n to 2n, whose weights are .25 and .75
};

template <class Number>
class AxisTaps {
 public:
  // Resizes from lengths[0] to lengths[1] and so on, each step with the weights of upsample_bilinear2d(align_corners=false).
  // The product of the steps is computed in float64.
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
