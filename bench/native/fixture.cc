#include "fixture.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/rng.h"
#include "weights/safetensors.h"

namespace cellsam::bench {
namespace {

constexpr std::uint64_t kSeed = 20260101;
constexpr double kPositionDeviation = 0.02;

}  // namespace

model::ModelSize read_size(Options& parameters) {
  Dict overrides;
  if (const auto side = parameters.integer("image_size", 0); side > 0) overrides["image_size"] = side;
  if (const auto queries = parameters.integer("queries", 0); queries > 0) overrides["num_queries"] = queries;
  return model::model_size(parameters.text("size", "vit_b"), overrides);
}

model::CellSam draw_model(const model::ModelSize& size) {
  at::manual_seed(kSeed);
  model::CellSam model(size, /*with_model_cp=*/false);
  at::NoGradGuard no_grad;
  for (auto& [name, tensor] : model->unique_parameters()) {
    if (name.ends_with("pos_embed") || name.find("rel_pos_") != std::string::npos) tensor.normal_(0, kPositionDeviation);
  }
  model->eval();
  return model;
}

void write_weights(const std::string& folder, model::CellSam& model, const std::string& prefix) {
  weights::TensorMap chosen;
  for (const auto& [name, tensor] : model->state_dict()) {
    if (name.starts_with(prefix)) chosen.emplace_back(name, tensor.detach());
  }
  weights::write_safetensors(folder + "/weights.safetensors", chosen);
}

void read_weights(const std::string& folder, model::CellSam& model) {
  at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> targets;
  for (const auto& [name, tensor] : model->state_dict()) targets.emplace(name, tensor);
  for (const auto& [name, tensor] : weights::read_safetensors(folder + "/weights.safetensors").tensors) {
    targets.at(name).copy_(tensor);
  }
}

void write_inputs(const std::string& folder, const weights::TensorMap& tensors) {
  weights::write_safetensors(folder + "/inputs.safetensors", tensors);
}

at::Tensor read_input(const std::string& folder, const std::string& name) {
  for (const auto& [found, tensor] : weights::read_safetensors(folder + "/inputs.safetensors").tensors) {
    if (found == name) return tensor.clone();
  }
  throw Error("ERR_INVALID_ARGUMENT", "the fixture in " + folder + " has no input " + name);
}

data::Batch draw_tile(std::int64_t side, std::int64_t cells) {
  at::manual_seed(kSeed + 1);
  const auto columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(cells))));
  const double pitch = static_cast<double>(side) / static_cast<double>(columns);
  const auto at = at::arange(side, at::kDouble);
  const auto y = at.unsqueeze(1), x = at.unsqueeze(0);
  const auto radii = (at::rand({cells, 2}, at::kDouble) * 0.2 + 0.2) * pitch;
  auto labels = at::zeros({side, side}, at::kInt);
  auto image = at::rand({3, side, side}) * 40 + 20;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const double row = (static_cast<double>(cell / columns) + 0.5) * pitch;
    const double column = (static_cast<double>(cell % columns) + 0.5) * pitch;
    const auto inside = ((y - row) / radii[cell][0]).square() + ((x - column) / radii[cell][1]).square() < 1;
    labels.masked_fill_(inside, cell + 1);
    image = at::where(inside, image + 30 + static_cast<double>(cell % 7) * 20, image);
  }
  return {image.to(at::kByte).unsqueeze(0), labels.unsqueeze(0), {data::find_instances(labels)}, {0}};
}

data::Batch read_tile(const std::string& folder) {
  data::Batch batch{read_input(folder, "image"), read_input(folder, "labels"), {}, {0}};
  batch.instances.push_back(data::find_instances(batch.labels[0]));
  return batch;
}

}  // namespace cellsam::bench
