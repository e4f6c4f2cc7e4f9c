// The losses of the masks by name, for tests.
#pragma once

#include <ATen/ATen.h>

#include <string_view>

#include "base/options.h"
#include "loss/mask_loss.h"

namespace cellsam::test {

// Weights and settings as beginStage takes them; what is not given has its default.
inline loss::MaskLossOptions mask_options(const Dict& given) {
  Options options(given, "mask losses");
  loss::MaskLossOptions read;
  read.read(options);
  options.done();
  return read;
}

// One weighted loss [N] of a sum.
inline at::Tensor term(const loss::MaskLoss& loss, std::string_view name) {
  return loss.terms.select(1, static_cast<std::int64_t>(loss::mask_loss_index(name)));
}

// One loss alone [N], unweighted.
inline at::Tensor single_loss(std::string_view name, const at::Tensor& logits, const at::Tensor& target,
                              const Dict& given = {}) {
  const auto& kind = loss::mask_losses()[loss::mask_loss_index(name)];
  Options options(given, std::string(name));
  const auto settings = loss::read_loss_settings(kind, options);
  options.done();
  return loss::single_mask_loss(kind, logits, target, settings);
}

}  // namespace cellsam::test
