#include "loss/mask_loss_table.h"

#include <algorithm>
#include <stdexcept>

// Every loss of the masks, by its name.
#define CELLSAM_MASK_LOSSES(LOSS) \
  LOSS(focal)                     \
  LOSS(dice)                      \
  LOSS(boundary)

namespace cellsam::loss {

#define CELLSAM_DECLARE_LOSS(NAME) MaskLossKind NAME##_loss();
CELLSAM_MASK_LOSSES(CELLSAM_DECLARE_LOSS)
#undef CELLSAM_DECLARE_LOSS

const std::vector<MaskLossKind>& mask_losses() {
#define CELLSAM_LIST_LOSS(NAME) NAME##_loss(),
  static const std::vector<MaskLossKind> table = {CELLSAM_MASK_LOSSES(CELLSAM_LIST_LOSS)};
#undef CELLSAM_LIST_LOSS
  return table;
}

std::size_t mask_loss_index(std::string_view name) {
  const auto& table = mask_losses();
  const auto found = std::find_if(table.begin(), table.end(), [&](const auto& kind) { return kind.name == name; });
  if (found == table.end()) throw std::logic_error("there is no mask loss " + std::string(name));
  return static_cast<std::size_t>(found - table.begin());
}

}  // namespace cellsam::loss
