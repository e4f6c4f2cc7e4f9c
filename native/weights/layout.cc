#include "weights/layout.h"

#include "weights/fault.h"
#include "weights/layout_names.h"

namespace cellsam::weights {

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
