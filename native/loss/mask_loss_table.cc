#include "loss/mask_loss_table.h"

#include <algorithm>
#include <stdexcept>

namespace cellsam::loss {

#define LOSS(NAME) MaskLossKind NAME##_loss();
#include "loss/mask_losses.inc"
#undef LOSS

const std::vector<MaskLossKind>& mask_losses() {
#define LOSS(NAME) NAME##_loss(),
  static const std::vector<MaskLossKind> table = {
#include "loss/mask_losses.inc"
  };
#undef LOSS
  return table;
}

std::size_t mask_loss_index(std::string_view name) {
  const auto& table = mask_losses();
  const auto found = std::find_if(table.begin(), table.end(), [&](const auto& kind) { return kind.name == name; });
  if (found == table.end()) throw std::logic_error("there is no mask loss " + std::string(name));
  return static_cast<std::size_t>(found - table.begin());
}

}  // namespace cellsam::loss
