// Commands that read, write and copy the weights of the model.
#include "engine/model_session.h"

#include <ATen/ATen.h>

#include "cache/backbones.h"
#include "engine/fingerprint.h"
#include "weights/checkpoint.h"
#include "weights/layout.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

namespace cellsam::engine {
namespace {

at::Tensor to_fp16(const std::string& name, const at::Tensor& tensor) {
  auto fp16 = tensor.detach().to(at::kHalf);
  if (fp16.isfinite().all().item<bool>()) return fp16;
  throw Error("ERR_INVALID_ARGUMENT", "save: " + name + " has numbers that float16 cannot hold; save as fp32");
}

}  // namespace

Value ModelSession::load(Options& options, Control&) {
  const auto path = options.require_text("path");
  options.done();
  const auto source = weights::read_checkpoint(path);
  const auto layout = weights::detect_layout(source);
  const bool copy = layout.preprocessing == "adv", had_copy = static_cast<bool>(model_->model_cp);
  if (copy != had_copy && trainer_) throw Error("ERR_STATE", "end the stage before loading weights of another generation");
  if (copy) model_->add_model_cp();
  auto targets = model_->state_dict();
  // A plain checkpoint fills one SAM; inference and training use that one from then on, as the official loader does.
  if (!copy) std::erase_if(targets, [](const auto& entry) { return entry.first.starts_with("model_cp."); });
  try {
    const auto report = weights::load_into(source, targets);
    if (!copy) model_->remove_model_cp();
    return weights::to_dict(report);
  } catch (...) {
    if (!had_copy) model_->remove_model_cp();  // a checkpoint that does not fit changes nothing
    throw;
  }
}

Value ModelSession::save(Options& options, Control&) {
  const auto path = options.require_text("path");
  const auto format = options.text("format", "pth");
  const auto dtype = options.text("dtype", "fp32");
  options.done();
  if (dtype != "fp32" && dtype != "fp16") {
    throw Error("ERR_INVALID_ARGUMENT", "save: dtype must be \"fp32\" or \"fp16\", not \"" + dtype + "\"");
  }
  if (format != "pth" && format != "safetensors") {
    throw Error("ERR_INVALID_ARGUMENT", "save: format must be \"pth\" or \"safetensors\", not \"" + format + "\"");
  }
  weights::TensorMap state;
  for (const auto& [name, tensor] : model_->state_dict())
    state.emplace_back(name, dtype == "fp16" ? to_fp16(name, tensor) : tensor.detach());
  const auto written = format == "pth" ? weights::write_pth(path, state) : weights::write_safetensors(path, state);
  return Dict{{"path", written.path}, {"bytes", written.bytes}, {"sha256", written.sha256}, {"tensors", state.size()}};
}

Value ModelSession::digest(Options& options, Control&) {
  options.done();
  Dict digests;
  for (const auto& [name, tensor] : model_->state_dict()) digests[name] = fingerprint(tensor);
  return digests;
}

Value ModelSession::parameters(Options& options, Control&) {
  options.done();
  List list;
  for (const auto& [name, tensor] : model_->unique_parameters()) {
    List shape;
    for (auto side : tensor.sizes()) shape.emplace_back(side);
    list.push_back(Dict{{"name", name}, {"shape", shape}, {"trainable", tensor.requires_grad()}});
  }
  return list;
}

Value ModelSession::transfer_weights(Options& options, Control&) {
  const auto to = options.text("to", "image_encoder");
  options.done();
  if (to != "image_encoder" && to != "cellfinder") {
    throw Error("ERR_INVALID_ARGUMENT", "transfer_weights: to must be \"image_encoder\" or \"cellfinder\", not \"" + to + "\"");
  }
  return Dict{
      {"tensors", cache::copy_backbone(model_, to == "cellfinder" ? cache::Backbone::CellFinder : cache::Backbone::Sam)}};
}

Value ModelSession::share_weights(Options& options, Control&) {
  options.done();
  if (!group_) throw Error("ERR_STATE", "share_weights: the session is not distributed");
  // The network has a second SAM where the weights that process 0 has loaded do.
  auto copy = at::full({1}, model_->model_cp ? 1.F : 0.F);
  group_->broadcast({copy});
  if (copy.item<float>() > 0) {
    model_->add_model_cp();
  } else {
    model_->remove_model_cp();
  }
  std::vector<at::Tensor> weights;
  for (const auto& [name, tensor] : model_->state_dict()) weights.push_back(tensor);
  group_->broadcast(weights);
  return {};
}

}  // namespace cellsam::engine
