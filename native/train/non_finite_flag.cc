#include "train/non_finite_flag.h"

#include <ATen/ATen.h>

namespace cellsam::train {

void NonFiniteFlag::add(const at::Tensor& losses) {
  const auto sum = (losses * 0).sum();
  sum_ = sum_.defined() ? sum_ + sum : sum;
}

at::Tensor NonFiniteFlag::value() const { return sum_.nan_to_num(/*nan=*/1); }

}  // namespace cellsam::train
