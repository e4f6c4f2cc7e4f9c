#include "engine/candidates.h"

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "base/options.h"
#include "base/tensors.h"
#include "infer/sweep.h"

namespace cellsam::engine {
namespace {

// The array named `name` as a tensor of this type and these sides (-1 = any), or ERR_INVALID_ARGUMENT.
at::Tensor column(Options& options, const std::string& name, at::ScalarType type, const std::vector<std::int64_t>& sides) {
  const auto tensor = to_tensor(options.require_array(name)).contiguous();
  bool fits = tensor.scalar_type() == type && tensor.dim() == static_cast<std::int64_t>(sides.size());
  for (std::size_t i = 0; fits && i < sides.size(); ++i)
    fits = sides[i] < 0 || tensor.size(static_cast<std::int64_t>(i)) == sides[i];
  if (!fits)
    throw Error("ERR_INVALID_ARGUMENT", "candidates: " + name + " is not what the session's candidates command returned");
  return tensor;
}

infer::Candidates read_candidates(const Value& value) {
  Options options(value, "candidates");
  infer::Candidates candidates;
  candidates.grid.height = options.require_integer("height");
  candidates.grid.width = options.require_integer("width");
  const auto tiles = column(options, "tiles", at::kInt, {-1, 4});
  const auto count = tiles.size(0);
  const auto thresholds = column(options, "thresholds", at::kDouble, {count}),
             floors = column(options, "floors", at::kDouble, {count});
  const auto tile = column(options, "tile", at::kInt, {-1});
  const auto found = tile.numel();
  const auto scores = column(options, "scores", at::kDouble, {found}), ious = column(options, "ious", at::kDouble, {found});
  const auto boxes = column(options, "boxes", at::kDouble, {found, 4});
  const auto run_counts = column(options, "run_counts", at::kInt, {found});
  const auto runs = column(options, "runs", at::kInt, {-1, 3});
  options.done();
  const auto broken = [](bool bad) {
    if (bad)
      throw Error("ERR_INVALID_ARGUMENT", "candidates: the masks are not what the session's candidates command returned");
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const auto* sides = tiles.const_data_ptr<std::int32_t>() + 4 * i;
    candidates.grid.tiles.push_back({sides[0], sides[1], sides[2], sides[3]});
    candidates.tiles.push_back({thresholds.const_data_ptr<double>()[i], floors.const_data_ptr<double>()[i], {}});
  }
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < found; ++i) {
    const auto owner = tile.const_data_ptr<std::int32_t>()[i], rows = run_counts.const_data_ptr<std::int32_t>()[i];
    broken(owner < 0 || owner >= count || rows <= 0 || at + rows > runs.size(0));
    std::vector<infer::Run> mask;
    for (std::int32_t row = 0; row < rows; ++row, ++at) {
      const auto* run = runs.const_data_ptr<std::int32_t>() + 3 * at;
      const bool after = mask.empty() || std::pair(mask.back().y, mask.back().end) < std::pair(run[0], run[1]);
      broken(!after || run[0] < 0 || run[0] >= candidates.grid.height || run[1] < 0 || run[1] >= run[2] ||
             run[2] > candidates.grid.width);
      mask.push_back({run[0], run[1], run[2]});
    }
    const auto* box = boxes.const_data_ptr<double>() + 4 * i;
    candidates.tiles[static_cast<std::size_t>(owner)].instances.push_back({infer::from_runs(std::move(mask)),
                                                                           scores.const_data_ptr<double>()[i],
                                                                           ious.const_data_ptr<double>()[i],
                                                                           {box[0], box[1], box[2], box[3]},
                                                                           -1});
  }
  return candidates;
}

Value sweep_value(const infer::Sweep& sweep) {
  const auto steps = static_cast<std::int64_t>(sweep.steps.size());
  auto scores = at::empty({steps}, at::kDouble), predicted = at::empty({steps}, at::kDouble);
  auto true_positives = at::empty({steps, 10}, at::kDouble);
  auto predicted_pixels = at::empty({steps}, at::kDouble), shared_pixels = at::empty({steps}, at::kDouble);
  for (std::int64_t i = 0; i < steps; ++i) {
    const auto& step = sweep.steps[static_cast<std::size_t>(i)];
    scores.data_ptr<double>()[i] = step.score;
    predicted.data_ptr<double>()[i] = static_cast<double>(step.predicted);
    for (int k = 0; k < 10; ++k) true_positives.data_ptr<double>()[10 * i + k] = static_cast<double>(step.true_positives[k]);
    predicted_pixels.data_ptr<double>()[i] = static_cast<double>(step.predicted_pixels);
    shared_pixels.data_ptr<double>()[i] = static_cast<double>(step.shared_pixels);
  }
  return Dict{{"truth", sweep.truth},
              {"truth_pixels", sweep.truth_pixels},
              {"floor", sweep.floor},
              {"scores", to_array(scores)},
              {"predicted", to_array(predicted)},
              {"true_positives", to_array(true_positives)},
              {"predicted_pixels", to_array(predicted_pixels)},
              {"shared_pixels", to_array(shared_pixels)}};
}

}  // namespace

Value to_value(const infer::Candidates& candidates) {
  std::vector<std::int32_t> tiles, tile, run_counts, runs;
  std::vector<double> thresholds, floors, scores, ious, boxes;
  for (std::size_t i = 0; i < candidates.tiles.size(); ++i) {
    const auto& window = candidates.grid.tiles[i];
    for (const auto side : {window.x, window.y, window.width, window.height}) tiles.push_back(static_cast<std::int32_t>(side));
    thresholds.push_back(candidates.tiles[i].threshold);
    floors.push_back(candidates.tiles[i].floor);
    for (const auto& instance : candidates.tiles[i].instances) {
      tile.push_back(static_cast<std::int32_t>(i));
      scores.push_back(instance.score);
      ious.push_back(instance.iou);
      boxes.insert(boxes.end(), instance.box.begin(), instance.box.end());
      run_counts.push_back(static_cast<std::int32_t>(instance.mask.runs.size()));
      for (const auto& run : instance.mask.runs) runs.insert(runs.end(), {run.y, run.x, run.end});
    }
  }
  const auto whole = [](const std::vector<std::int32_t>& values) { return at::tensor(values, at::kInt); };
  const auto real = [](const std::vector<double>& values) { return at::tensor(values, at::kDouble); };
  return Dict{{"height", candidates.grid.height},
              {"width", candidates.grid.width},
              {"tiles", to_array(whole(tiles).view({-1, 4}))},
              {"thresholds", to_array(real(thresholds))},
              {"floors", to_array(real(floors))},
              {"tile", to_array(whole(tile))},
              {"scores", to_array(real(scores))},
              {"ious", to_array(real(ious))},
              {"boxes", to_array(real(boxes).view({-1, 4}))},
              {"run_counts", to_array(whole(run_counts))},
              {"runs", to_array(whole(runs).view({-1, 3}))}};
}

Value to_value(const infer::Prediction& prediction) {
  return Dict{{"labels", to_array(prediction.labels)},
              {"scores", to_array(prediction.scores)},
              {"boxes", to_array(prediction.boxes)},
              {"ious", to_array(prediction.ious)},
              {"count", prediction.scores.size(0)}};
}

bool is_candidates_command(std::string_view command) { return command == "infer.assemble" || command == "infer.sweep"; }

Value call_candidates(std::string_view command, const Value& arguments) {
  Options options(arguments, std::string(command));
  const auto* given = options.value("candidates");
  if (given == nullptr) throw Error("ERR_INVALID_ARGUMENT", std::string(command) + ": candidates are missing");
  const auto candidates = read_candidates(*given);
  const auto* choices = options.value("options");
  Options rules(choices != nullptr ? *choices : Value(), std::string(command));
  const auto predict_options = infer::read_predict_options(rules);
  rules.done();
  if (command == "infer.sweep") {
    const auto truth = to_tensor(options.require_array("truth"));
    options.done();
    return sweep_value(infer::sweep(candidates, truth, predict_options));
  }
  const auto threshold = options.has("threshold") ? std::optional(options.number("threshold", 0)) : std::nullopt;
  options.done();
  return to_value(infer::assemble(candidates, threshold, predict_options));
}

}  // namespace cellsam::engine
