#include "metric/match.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <queue>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::metric {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

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

// Least-cost assignment of rows to columns, where an edge costs 1 - IoU and a row may also stay alone: with `alone` = 1 the sum
// of IoU is largest. Columns beyond `columns` are the rows' own "alone" partners.
class Assignment {
 public:
  Assignment(std::int64_t rows, std::int64_t columns, const std::vector<const Overlap*>& edges, double alone = 1)
      : alone_(alone),
        columns_(columns),
        edges_of_(rows),
        column_of_(rows, -1),
        row_of_(columns + rows, -1),
        price_(columns + rows, 0) {
    for (const auto* edge : edges) edges_of_[edge->truth].push_back(edge);
    for (std::int64_t row = 0; row < rows; ++row) augment(row);
  }

  // The column of a row, -1 if it stays alone.
  std::int64_t column_of(std::int64_t row) const { return column_of_[row] < columns_ ? column_of_[row] : -1; }

 private:
  template <class Visit>
  void each_edge(std::int64_t row, Visit visit) const {
    for (const auto* edge : edges_of_[row]) visit(edge->predicted, 1 - edge->iou);
    visit(columns_ + row, alone_);
  }

  double cost(std::int64_t row, std::int64_t column) const {
    double found = kNever;
    each_edge(row, [&](std::int64_t candidate, double cost) {
      if (candidate == column) found = cost;
    });
    return found;
  }

  // Dijkstra over columns from a free row, with column prices that keep every reduced cost non-negative.
  void augment(std::int64_t start) {
    std::unordered_map<std::int64_t, double> distance;
    std::unordered_map<std::int64_t, std::int64_t> came_from;  // column -> row
    std::unordered_set<std::int64_t> settled;                  // final, even if rounding later offers them a hair less
    using Entry = std::pair<double, std::int64_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;

    const auto relax = [&](std::int64_t row, double base) {
      each_edge(row, [&](std::int64_t column, double cost) {
        if (settled.contains(column)) return;
        const double reach = base + cost - price_[column];
        const auto known = distance.find(column);
        if (known != distance.end() && known->second <= reach) return;
        distance[column] = reach;
        came_from[column] = row;
        queue.push({reach, column});
      });
    };
    relax(start, 0);
    while (true) {
      const auto [reach, column] = queue.top();
      queue.pop();
      if (reach > distance[column] || settled.contains(column)) continue;
      const std::int64_t row = row_of_[column];
      if (row < 0) {
        for (auto seen : settled) price_[seen] += distance[seen] - reach;
        flip(column, start, came_from);
        return;
      }
      settled.insert(column);
      // The matched edge has reduced cost 0 against its row's own potential, which is that edge's cost minus its price.
      relax(row, reach - (cost(row, column) - price_[column]));
    }
  }

  void flip(std::int64_t column, std::int64_t start, const std::unordered_map<std::int64_t, std::int64_t>& came_from) {
    while (true) {
      const std::int64_t row = came_from.at(column);
      const std::int64_t next = column_of_[row];
      column_of_[row] = column;
      row_of_[column] = row;
      if (row == start) return;
      column = next;
    }
  }

  double alone_;
  std::int64_t columns_;
  std::vector<std::vector<const Overlap*>> edges_of_;
  std::vector<std::int64_t> column_of_;
  std::vector<std::int64_t> row_of_;
  std::vector<double> price_;
};

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
  // Neighbouring pixels mostly carry the same pair of ids, so the maps are touched once per run, not once per pixel.
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

Judged leave_out_ignored(const at::Tensor& truth, const at::Tensor& prediction) {
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

namespace {

std::vector<Overlap> assigned(const OverlapTable& table, const std::vector<Overlap>& allowed, double alone) {
  std::vector<const Overlap*> edges;
  for (const auto& overlap : allowed) edges.push_back(&overlap);
  const Assignment assignment(static_cast<std::int64_t>(table.truth_ids.size()),
                              static_cast<std::int64_t>(table.predicted_ids.size()), edges, alone);
  std::vector<Overlap> matches;
  for (const auto& edge : allowed) {
    if (assignment.column_of(edge.truth) == edge.predicted) matches.push_back(edge);
  }
  return matches;
}

}  // namespace

std::vector<Overlap> match(const OverlapTable& table, double threshold) {
  if (!(threshold > 0 && threshold <= 1)) {
    throw Error("ERR_INVALID_ARGUMENT", "an IoU threshold must lie in (0, 1]", {{"threshold", threshold}});
  }
  std::vector<Overlap> edges;
  std::copy_if(table.overlaps.begin(), table.overlaps.end(), std::back_inserter(edges),
               [threshold](const Overlap& overlap) { return overlap.iou >= threshold; });
  return assigned(table, edges, 1);
}

std::vector<Overlap> match_deepcell(const OverlapTable& table, double cutoff1, double cutoff2) {
  if (!(cutoff1 > 0 && cutoff1 <= 1 && cutoff2 >= 0 && cutoff2 <= 1)) {
    throw Error("ERR_INVALID_ARGUMENT", "cutoff1 must lie in (0, 1] and cutoff2 in [0, 1]");
  }
  std::vector<Overlap> edges;
  for (auto overlap : table.overlaps) {
    const auto smaller = std::min(table.truth_areas[overlap.truth], table.predicted_areas[overlap.predicted]);
    if (2 * overlap.shared >= smaller) overlap.iou = std::max(overlap.iou, cutoff2);
    if (1 - overlap.iou < cutoff1) edges.push_back(overlap);
  }
  auto matches = assigned(table, edges, cutoff1);
  for (auto& found : matches) {
    const auto either = table.truth_areas[found.truth] + table.predicted_areas[found.predicted] - found.shared;
    found.iou = static_cast<double>(found.shared) / static_cast<double>(either);
  }
  return matches;
}

}  // namespace cellsam::metric
