#include "weights/layout_names.h"

namespace cellsam::weights {

std::string_view without_module(std::string_view name) {
  while (name.starts_with("module.")) name.remove_prefix(7);
  return name;
}

std::vector<std::string> official_names(std::string_view full, bool plain_sam) {
  const std::string name(without_module(full));
  if (!plain_sam) return {name};
  std::vector<std::string> names{"model." + name, "model_cp." + name};
  constexpr std::string_view kEncoder = "image_encoder.";
  // CellFinder's backbone is SAM's image encoder without the neck.
  if (name.starts_with(kEncoder) && !name.starts_with("image_encoder.neck.")) {
    names.push_back(std::string(kCellFinderBackbone) + name.substr(kEncoder.size()));
  }
  return names;
}

std::optional<TiedName> tied_name(std::string_view name) {
  for (std::string_view head : {"class_embed.", "bbox_embed."}) {
    const auto found = name.find(head);
    if (!name.starts_with("cellfinder.") || found == name.npos) continue;
    const auto digits = found + head.size();
    const auto dot = name.find('.', digits);
    if (dot == name.npos || dot == digits || dot - digits > 3) continue;
    int index = 0;
    bool number = true;
    for (char c : name.substr(digits, dot - digits)) {
      number = number && c >= '0' && c <= '9';
      index = index * 10 + (c - '0');
    }
    if (number) return TiedName{std::string(name.substr(0, digits)) + "*" + std::string(name.substr(dot)), index};
  }
  return std::nullopt;
}

}  // namespace cellsam::weights
