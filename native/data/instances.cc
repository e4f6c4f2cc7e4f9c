#include "data/instances.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace cellsam::data {
namespace {

struct Extent {
  std::int64_t left, top, right, bottom;  // inclusive
};

at::Tensor scale_of(const at::Tensor& boxes, std::int64_t height, std::int64_t width) {
  auto scale = at::empty({4}, at::kFloat);
  auto* side = scale.data_ptr<float>();
  side[0] = side[2] = static_cast<float>(width);
  side[1] = side[3] = static_cast<float>(height);
  return scale.to(boxes.options());
}

}  // namespace

Instances find_instances(const at::Tensor& labels) {
  const auto plain = labels.to(at::kCPU).contiguous();
  const auto height = plain.size(0), width = plain.size(1);
  const auto* row = plain.data_ptr<std::int32_t>();
  std::unordered_map<std::int32_t, Extent> extents;
  bool has_ignored = false;
  for (std::int64_t y = 0; y < height; ++y, row += width) {
    for (std::int64_t x = 0; x < width;) {
      const auto id = row[x];
      const auto left = x;
      while (x < width && row[x] == id) ++x;  // one look-up for each run of equal ids
      has_ignored = has_ignored || id == kIgnore;
      if (id <= 0) continue;
      auto& extent = extents.try_emplace(id, Extent{left, y, x - 1, y}).first->second;
      extent.left = std::min(extent.left, left);
      extent.right = std::max(extent.right, x - 1);
      extent.bottom = y;
    }
  }
  std::vector<std::int32_t> ids;
  for (const auto& [label, extent] : extents) ids.push_back(label);
  std::sort(ids.begin(), ids.end());
  const auto n = static_cast<std::int64_t>(ids.size());
  Instances instances{at::empty({n, 4}, at::kFloat), at::empty({n}, at::kInt), has_ignored};
  auto* box = instances.boxes.data_ptr<float>();
  auto* id = instances.ids.data_ptr<std::int32_t>();
  for (const auto label : ids) {
    const auto& extent = extents.at(label);
    *id++ = label;
    *box++ = static_cast<float>(extent.left);
    *box++ = static_cast<float>(extent.top);
    *box++ = static_cast<float>(extent.right + 1);
    *box++ = static_cast<float>(extent.bottom + 1);
  }
  return instances;
}

at::Tensor to_normalized(const at::Tensor& boxes, std::int64_t height, std::int64_t width) {
  const auto first = boxes.slice(1, 0, 2), last = boxes.slice(1, 2, 4);
  return at::cat({(first + last) / 2, last - first}, 1) / scale_of(boxes, height, width);
}

}  // namespace cellsam::data
