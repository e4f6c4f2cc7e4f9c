// Which losses of the masks count how much, and their own settings: values for the table of losses.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/options.h"
#include "loss/mask_loss_table.h"

namespace cellsam::loss {

class MaskLossOptions {
 public:
  MaskLossOptions();  // the defaults of every loss

  // Reads weight and settings of every loss, and use_boundary_loss; those that are absent stay. Throws
  // ERR_INVALID_ARGUMENT for a value out of range. The caller calls options.done().
  void read(Options& options);
  // Reads the weights alone.
  void read_weights(Options& options);

  // In effect: 0 for a boundary loss that use_boundary_loss has switched off, whatever its weight is.
  double weight(std::size_t loss) const;
  const LossSettings& settings(std::size_t loss) const { return settings_[loss]; }

 private:
  std::vector<double> weights_;  // in the order of mask_losses()
  std::vector<LossSettings> settings_;
  bool use_boundary_ = true;
};

// The settings of one loss alone, without its weight.
LossSettings read_loss_settings(const MaskLossKind& loss, Options& options);

}  // namespace cellsam::loss
