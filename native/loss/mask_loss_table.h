// What a loss of the masks (stage 2) is to the rest of the engine, and the table of them. Everything that has the losses' names
// in it follows from the table: options, weights, metrics, engine commands. A loss is a file NAME.cc in native/loss that
// defines NAME_loss(), and a line in mask_losses.inc; docs/extending.md has the TypeScript side.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/setting.h"
#include "loss/mask_inputs.h"

namespace cellsam::loss {

// The values of a loss's own settings.
class LossSettings {
 public:
  LossSettings() = default;
  // The defaults of `settings`.
  explicit LossSettings(const std::vector<setting::Number>& settings);

  // The value of one that the loss has; std::logic_error for another.
  double operator[](const setting::Number& setting) const;
  double& operator[](const setting::Number& setting);

 private:
  std::vector<std::pair<std::string_view, double>> values_;
};

struct MaskLossKind {
  std::string_view name;                  // of its metric NAME_loss and its engine command loss.NAME
  setting::Number weight;                 // NAME_loss_weight
  std::vector<setting::Number> settings;  // its own, such as NAME_gamma

  // The unweighted loss of each mask [N], and its gradient in the logits where masks.needs_gradient. Called without autograd.
  Term (*term)(const MaskInputs& masks, const LossSettings& settings);
};

// In the order in which results and metrics name them.
const std::vector<MaskLossKind>& mask_losses();

// The number of a loss in the table; std::logic_error for a name that is not there.
std::size_t mask_loss_index(std::string_view name);

}  // namespace cellsam::loss
