#include "weights/layout.h"

#include "weights/fault.h"
#include "weights/layout_names.h"

namespace cellsam::weights {

std::string_view without_module(std::string_view name) {
  while (name.starts_with("module.")) name.remove_prefix(7);
  return name;
}

Layout detect_layout(const TensorMap& source) {
  bool sam = false, copy = false, detector = false, encoder = false, decoder = false;
  for (const auto& [full, tensor] : source) {
    const auto name = without_module(full);
    sam = sam || name.starts_with("model.");
    copy = copy || name.starts_with("model_cp.");
    detector = detector || name.starts_with("cellfinder.");
    encoder = encoder || name.starts_with("image_encoder.");
    decoder = decoder || name.starts_with("mask_decoder.");
  }
  if (sam || detector) return copy ? Layout{"cellsam_adv", "adv"} : Layout{"cellsam", "plain"};
  if (encoder && decoder) return {"sam", "plain"};
  std::string names;
  for (std::size_t i = 0; i < source.size() && i < 3; ++i) names += (i > 0 ? ", " : "") + printable(source[i].first);
  wrong_format(
      "the checkpoint holds neither CellSAM (model.*, cellfinder.*) nor segment-anything (image_encoder.*, mask_decoder.*); "
      "its first names are " +
      names);
}

std::vector<std::string> target_names(const Layout& layout, std::string_view full) {
  const std::string name(without_module(full));
  if (layout.name != "sam") return {name};
  std::vector<std::string> names{"model." + name, "model_cp." + name};
  constexpr std::string_view kEncoder = "image_encoder.";
  // CellFinder's body is SAM's backbone without the neck.
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

Dict to_dict(const LoadReport& report) {
  const auto list = [](const std::vector<std::string>& names) { return List(names.begin(), names.end()); };
  List mismatched;
  for (const auto& entry : report.mismatched) {
    Dict dict;
    dict["name"] = entry.name;
    dict["expected"] = entry.expected;
    dict["found"] = entry.found;
    mismatched.emplace_back(std::move(dict));
  }
  Dict dict;
  dict["layout"] = report.layout;
  dict["generation"] = report.preprocessing;
  dict["loaded"] = report.loaded;
  dict["missing"] = list(report.missing);
  dict["unexpected"] = list(report.unexpected);
  dict["mismatched"] = std::move(mismatched);
  dict["warnings"] = list(report.warnings);
  return dict;
}

}  // namespace cellsam::weights
