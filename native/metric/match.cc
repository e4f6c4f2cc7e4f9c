#include "metric/match.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine.h"

namespace cellsam::metric {
namespace {

constexpr double kNoEdge = std::numeric_limits<double>::infinity();

// Least-cost assignment of rows (true instances) to columns (predictions), where an edge costs 1 - IoU and a row without a
// column costs `unmatched`. With unmatched = 1 the sum of IoU is largest. Column columns + i stands for "row i is unmatched".
class Assignment {
 public:
  Assignment(std::int64_t rows, std::int64_t columns, const std::vector<const Overlap*>& edges, double unmatched = 1)
      : unmatched_(unmatched),
        columns_(columns),
        edges_of_(rows),
        column_of_(rows, -1),
        row_of_(columns + rows, -1),
        price_(columns + rows, 0) {
    for (const auto* edge : edges) edges_of_[edge->truth].push_back(edge);
    for (std::int64_t row = 0; row < rows; ++row) augment(row);
  }

  // The column of a row; -1 if it is unmatched.
  std::int64_t column_of(std::int64_t row) const { return column_of_[row] < columns_ ? column_of_[row] : -1; }

 private:
  template <class Visit>
  void each_edge(std::int64_t row, Visit visit) const {
    for (const auto* edge : edges_of_[row]) visit(edge->predicted, 1 - edge->iou);
    visit(columns_ + row, unmatched_);
  }

  double cost(std::int64_t row, std::int64_t column) const {
    double found = kNoEdge;
    each_edge(row, [&](std::int64_t candidate, double cost) {
      if (candidate == column) found = cost;
    });
    return found;
  }

  // Dijkstra's algorithm over columns from an unmatched row, with prices of columns that keep every reduced cost non-negative.
  void augment(std::int64_t start) {
    std::unordered_map<std::int64_t, double> distance;
    std::unordered_map<std::int64_t, std::int64_t> came_from;  // column -> row
    std::unordered_set<std::int64_t> settled;                  // stay so, even if rounding makes a later path slightly shorter
    using Entry = std::pair<double, std::int64_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;

    const auto relax = [&](std::int64_t row, double base) {
      each_edge(row, [&](std::int64_t column, double cost) {
        if (settled.contains(column)) return;
        const double distance_here = base + cost - price_[column];
        const auto known = distance.find(column);
        if (known != distance.end() && known->second <= distance_here) return;
        distance[column] = distance_here;
        came_from[column] = row;
        queue.push({distance_here, column});
      });
    };
    relax(start, 0);
    while (true) {
      const auto [distance_here, column] = queue.top();
      queue.pop();
      if (distance_here > distance[column] || settled.contains(column)) continue;
      const std::int64_t row = row_of_[column];
      if (row < 0) {
        for (auto seen : settled) price_[seen] += distance[seen] - distance_here;
        augment_along(column, start, came_from);
        return;
      }
      settled.insert(column);
      // The potential of the row is the cost of its matched edge minus the price of the column, so that this edge has a reduced
      // cost of 0.
      relax(row, distance_here - (cost(row, column) - price_[column]));
    }
  }

  void augment_along(std::int64_t column, std::int64_t start, const std::unordered_map<std::int64_t, std::int64_t>& came_from) {
    while (true) {
      const std::int64_t row = came_from.at(column);
      const std::int64_t next = column_of_[row];
      column_of_[row] = column;
      row_of_[column] = row;
      if (row == start) return;
      column = next;
    }
  }

  double unmatched_;
  std::int64_t columns_;
  std::vector<std::vector<const Overlap*>> edges_of_;
  std::vector<std::int64_t> column_of_;
  std::vector<std::int64_t> row_of_;
  std::vector<double> price_;
};

std::vector<Overlap> assign(const OverlapTable& table, const std::vector<Overlap>& allowed, double unmatched) {
  std::vector<const Overlap*> edges;
  for (const auto& overlap : allowed) edges.push_back(&overlap);
  const Assignment assignment(static_cast<std::int64_t>(table.truth_ids.size()),
                              static_cast<std::int64_t>(table.predicted_ids.size()), edges, unmatched);
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
  return assign(table, edges, 1);
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
  auto matches = assign(table, edges, cutoff1);
  for (auto& found : matches) {
    const auto either = table.truth_areas[found.truth] + table.predicted_areas[found.predicted] - found.shared;
    found.iou = static_cast<double>(found.shared) / static_cast<double>(either);
  }
  return matches;
}

}  // namespace cellsam::metric
