#include "infer/sweep.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <ATen/ATen.h>

#include "engine.h"
#include "infer/overlap.h"
#include "infer/running_counts.h"
#include "infer/stitch.h"
#include "metric/average_precision.h"
#include "metric/segmentation.h"

namespace cellsam::infer {
namespace {

// The connected components of detections that are partners, each known by its smallest index. Only detections of one component
// affect each other when cells are joined.
std::vector<std::size_t> groups_of(const std::vector<std::vector<std::size_t>>& partners) {
  std::vector<std::size_t> group(partners.size(), partners.size());
  for (std::size_t first = 0; first < partners.size(); ++first) {
    if (group[first] != partners.size()) continue;
    std::vector<std::size_t> open = {first};
    group[first] = first;
    while (!open.empty()) {
      const auto here = open.back();
      open.pop_back();
      for (const auto next : partners[here]) {
        if (group[next] != partners.size()) continue;
        group[next] = first;
        open.push_back(next);
      }
    }
  }
  return group;
}

// The label map of all detections so far, updated while detections are added by falling score.
class IncrementalLabelMap {
 public:
  IncrementalLabelMap(const std::vector<TileInstance>& detections, const TileGrid& grid, const at::Tensor& truth,
                      const PredictOptions& options)
      : detections_(detections),
        partners_(partners_of(detections, grid)),
        group_(groups_of(partners_)),
        painter_(grid.height, grid.width, options),
        counts_(truth) {}

  void add(std::size_t detection) {
    auto& present = present_[group_[detection]];
    present.push_back(detection);
    auto joined = join(detections_, partners_, present);
    auto& cells = cells_of_[group_[detection]];
    std::vector<Window> changed;  // where the label map changes
    std::size_t first = detections_.size();
    for (const auto rank : cells) {
      auto& old = cells_.at(rank);
      clear(old);
      changed.push_back(old.mask.window);
      first = std::min(first, rank);
      cells_.erase(rank);
    }
    cells.clear();
    std::set<std::size_t> fresh;
    for (auto& cell : joined) {
      first = std::min(first, cell.rank);
      fresh.insert(cell.rank);
      cells.push_back(cell.rank);
      cells_[cell.rank] = {std::move(cell.instance.mask), {}, {}};
    }
    repaint(first, fresh, changed);
  }

  const RunningCounts& counts() const { return counts_; }

 private:
  struct Cell {
    Mask mask;
    Mask visible;
    Contribution contribution;
  };

  void clear(Cell& cell) {
    painter_.erase(cell.visible);
    counts_.remove(cell.contribution);
    cell.visible = {};
    cell.contribution = {};
  }

  // Paints cells again from rank `first` on: new ones, and those that overlap a change, as the pixels of a cell depend on the
  // better cells within its window.
  void repaint(std::size_t first, const std::set<std::size_t>& fresh, std::vector<Window>& changed) {
    std::vector<std::pair<std::size_t, Cell*>> again;
    for (auto at = cells_.lower_bound(first); at != cells_.end(); ++at) {
      auto& cell = at->second;
      const auto touches = [&cell](const Window& window) { return intersect(window, cell.mask.window).area() > 0; };
      if (!fresh.contains(at->first) && std::none_of(changed.begin(), changed.end(), touches)) continue;
      changed.push_back(cell.mask.window);
      again.emplace_back(at->first, &cell);
    }
    for (auto& [rank, cell] : again) clear(*cell);
    for (auto& [rank, cell] : again) {
      cell->visible = painter_.paint(cell->mask, static_cast<std::int32_t>(rank + 1));
      if (cell->visible.empty()) continue;
      cell->contribution = counts_.contribution_of(cell->visible);
      counts_.add(cell->contribution);
    }
  }

  const std::vector<TileInstance>& detections_;
  std::vector<std::vector<std::size_t>> partners_;
  std::vector<std::size_t> group_;
  std::map<std::size_t, std::vector<std::size_t>> present_;   // detections so far, by group
  std::map<std::size_t, std::vector<std::size_t>> cells_of_;  // ranks, by group
  std::map<std::size_t, Cell> cells_;                         // by rank
  Painter painter_;
  RunningCounts counts_;
};

// The counts at a threshold, from a label map of its own.
SweepStep counts_at(const Candidates& candidates, double threshold, const at::Tensor& truth, const PredictOptions& options) {
  const auto maps = metric::leave_out_ignored(truth, assemble(candidates, threshold, options).labels);
  const auto table = metric::overlap_table(maps.truth, maps.prediction);
  const auto pixels = metric::foreground(table);
  SweepStep step;
  step.predicted = static_cast<std::int64_t>(table.predicted_ids.size());
  const auto counts = metric::count_matches(table, metric::average_precision_thresholds());
  for (std::size_t i = 0; i < counts.size(); ++i) step.true_positives[i] = counts[i].true_positives;
  step.predicted_pixels = pixels.predicted;
  step.shared_pixels = pixels.shared;
  return step;
}

}  // namespace

Sweep sweep(const Candidates& candidates, const at::Tensor& truth, const PredictOptions& options, const Cancelled& cancelled) {
  const auto& grid = candidates.grid;
  if (truth.dim() != 2 || truth.scalar_type() != at::kInt || truth.size(0) != grid.height || truth.size(1) != grid.width) {
    throw Error("ERR_INVALID_ARGUMENT", "sweep: truth must be int32 [H,W] of the image's size");
  }
  Sweep result;
  result.floor = candidates.floor();
  std::vector<std::vector<Instance>> found;
  for (const auto& tile : candidates.tiles) {
    auto& above = found.emplace_back();
    std::copy_if(tile.instances.begin(), tile.instances.end(), std::back_inserter(above),
                 [&](const Instance& instance) { return instance.score > result.floor; });
  }
  const auto detections = detections_of(grid, std::move(found));
  const bool local = options.overlap == OverlapRule::Score && !options.remove_boundaries;
  IncrementalLabelMap map(detections, grid, truth, options);
  result.truth = map.counts().truth_count();
  result.truth_pixels = map.counts().truth_pixels();
  for (std::size_t i = 0; i < detections.size();) {
    stop_if(cancelled);
    const double score = detections[i].instance.score;
    for (; i < detections.size() && detections[i].instance.score == score; ++i) {
      if (local) map.add(i);
    }
    const double next = i < detections.size() ? detections[i].instance.score : result.floor;
    auto step = local ? map.counts().now() : counts_at(candidates, next, truth, options);
    step.score = score;
    if (!(result.steps.empty() ? SweepStep{} : result.steps.back()).same(step)) result.steps.push_back(step);
  }
  return result;
}

}  // namespace cellsam::infer
