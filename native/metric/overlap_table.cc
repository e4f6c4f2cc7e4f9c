#include "metric/overlap_table.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::metric {
namespace {

// Ids in ascending order with their pixel counts.
struct Instances {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> areas;
  std::unordered_map<std::int32_t, std::int64_t> position;
};

Instances instances_of(const std::unordered_map<std::int32_t, std::int64_t>& pixels) {
  Instances found;
  for (const auto& [id, count] : pixels) found.ids.push_back(id);
  std::sort(found.ids.begin(), found.ids.end());
  for (std::size_t i = 0; i < found.ids.size(); ++i) {
    found.areas.push_back(pixels.at(found.ids[i]));
    found.position[found.ids[i]] = static_cast<std::int64_t>(i);
  }
  return found;
}

at::Tensor checked(const at::Tensor& labels, const char* name, std::int32_t lowest = 0) {
  if (labels.dim() != 2 || labels.scalar_type() != at::kInt) {
    throw Error("ERR_INVALID_ARGUMENT", std::string(name) + " must be an int32 label map [H,W]");
  }
  if (labels.numel() > 0 && labels.min().item<std::int32_t>() < lowest) {
    throw Error("ERR_INVALID_ARGUMENT", std::string(name) + " has a negative id; 0 is background and ids are positive");
  }
  return labels.to(at::kCPU).contiguous();
}

void require_one_size(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() == b.sizes()) return;
  throw Error("ERR_INVALID_ARGUMENT", "truth and prediction must have the same height and width; resize or crop one of them");
}

}  // namespace

OverlapTable overlap_table(const at::Tensor& truth, const at::Tensor& prediction) {
  const auto a = checked(truth, "truth");
  const auto b = checked(prediction, "prediction");
  require_one_size(a, b);
  const auto* from = a.const_data_ptr<std::int32_t>();
  const auto* to = b.const_data_ptr<std::int32_t>();
  std::unordered_map<std::int32_t, std::int64_t> truth_pixels;
  std::unordered_map<std::int32_t, std::int64_t> predicted_pixels;
  std::unordered_map<std::uint64_t, std::int64_t> shared_pixels;
  const std::int64_t count = a.numel();
  // Neighbouring pixels mostly have the same pair of ids: the maps are used once for each run of equal pairs.
  for (std::int64_t i = 0; i < count;) {
    const std::int32_t t = from[i];
    const std::int32_t p = to[i];
    std::int64_t end = i + 1;
    while (end < count && from[end] == t && to[end] == p) ++end;
    if (t != 0) truth_pixels[t] += end - i;
    if (p != 0) predicted_pixels[p] += end - i;
    if (t != 0 && p != 0) shared_pixels[(static_cast<std::uint64_t>(t) << 32) | static_cast<std::uint32_t>(p)] += end - i;
    i = end;
  }
  const auto truths = instances_of(truth_pixels);
  const auto predictions = instances_of(predicted_pixels);
  OverlapTable table{truths.ids, predictions.ids, truths.areas, predictions.areas, {}};
  for (const auto& [key, shared] : shared_pixels) {
    const auto t = truths.position.at(static_cast<std::int32_t>(key >> 32));
    const auto p = predictions.position.at(static_cast<std::int32_t>(key & 0xffffffffu));
    const auto both = truths.areas[t] + predictions.areas[p] - shared;
    table.overlaps.push_back({t, p, static_cast<double>(shared) / static_cast<double>(both), shared});
  }
  std::sort(table.overlaps.begin(), table.overlaps.end(), [](const Overlap& x, const Overlap& y) {
    return std::pair(x.truth, x.predicted) < std::pair(y.truth, y.predicted);
  });
  return table;
}

LabelMaps leave_out_ignored(const at::Tensor& truth, const at::Tensor& prediction) {
  auto a = checked(truth, "truth", -1), b = checked(prediction, "prediction");
  require_one_size(a, b);
  auto ignored = a.eq(-1);
  if (!ignored.any().item<bool>()) return {a, b, {}};
  const auto table = overlap_table(ignored.to(at::kInt), b);
  std::unordered_set<std::int32_t> dropped;
  for (const auto& overlap : table.overlaps) {
    if (2 * overlap.shared >= table.predicted_areas[overlap.predicted]) dropped.insert(table.predicted_ids[overlap.predicted]);
  }
  b = b.masked_fill(ignored, 0);
  auto* pixels = b.data_ptr<std::int32_t>();
  for (std::int64_t i = 0; i < b.numel(); ++i) {
    if (pixels[i] != 0 && dropped.contains(pixels[i])) pixels[i] = 0;
  }
  return {a.clamp_min(0), b, ignored};
}

}  // namespace cellsam::metric
