// The sweep over one kind of `Lanes` as a table; the last include of each mask_loss_kernel_<set>.cc.
#pragma once

#include "kernels/mask_loss_rows.h"

namespace cellsam::kernels {
namespace {

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
