#include "engine/session.h"

#include <ATen/Context.h>

#include <map>
#include <mutex>

#include "base/stop_if_abandoned.h"
#include "base/tensors.h"
#include "cache/backbones.h"
#include "data/normalize.h"
#include "data/prepare_options.h"
#include "data/store.h"
#include "device/device.h"
#include "engine/candidates.h"
#include "engine/fingerprint.h"
#include "infer/box_mask_iou.h"
#include "infer/predict.h"
#include "settings/candidates.h"
#include "settings/epoch.h"
#include "settings/session.h"
#include "train/stage.h"
#include "train/trainer.h"
#include "weights/checkpoint.h"
#include "weights/layout.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

namespace cellsam::engine {
namespace {

class ModelSession final : public Session {
 public:
  explicit ModelSession(Options& options)
      : device_(device::parse_device(options.text("device", "cpu"))),
        precision_(device::parse_precision(options.read(setting::session::precision))),
        seed_(static_cast<std::uint64_t>(options.read(setting::session::seed))),
        threads_(options.read(setting::session::threads)),
        deterministic_(options.read(setting::session::deterministic)) {
    const auto name = options.require_text("size");
    const auto* overrides = options.value("overrides");
    const auto size = model::model_size(name, overrides != nullptr ? *overrides : Value());
    const auto preprocessing = data::parse_preprocessing(options.read(setting::session::generation));
    options.done();
    const device::CoreShare share(threads_);
    device::prepare_thread(share.threads(), deterministic_);
    {
      // The weights are drawn from torch's one global generator: sessions that open at the same time must not share its draws.
      static std::mutex generator;
      std::lock_guard lock(generator);
      at::manual_seed(seed_);
      model_ = model::CellSam(size, preprocessing == data::Preprocessing::Adv);
    }
    model_->to(device_);
    model_->eval();
    // Nothing trains until a stage begins, and the backbones keep packed copies of frozen weights alone.
    for (auto& [name, parameter] : model_->unique_parameters()) parameter.set_requires_grad(false);
  }

  Value call(std::string_view command, const Value& arguments, Control& control) override {
    using Method = Value (ModelSession::*)(Options&, Control&);
    static const std::map<std::string_view, Method> methods{
        {"load", &ModelSession::load},
        {"save", &ModelSession::save},
        {"digest", &ModelSession::digest},
        {"parameters", &ModelSession::parameters},
        {"begin_stage", &ModelSession::begin_stage},
        {"set_loss_weights", &ModelSession::set_loss_weights},
        {"train_epoch", &ModelSession::train_epoch},
        {"validate", &ModelSession::validate},
        {"observe", &ModelSession::observe},
        {"save_state", &ModelSession::save_state},
        {"load_state", &ModelSession::load_state},
        {"end_stage", &ModelSession::end_stage},
        {"transfer_weights", &ModelSession::transfer_weights},
        {"predict", &ModelSession::predict},
        {"prompt_iou", &ModelSession::prompt_iou},
        {"candidates", &ModelSession::candidates},
    };
    const auto method = methods.find(command);
    if (method == methods.end()) throw Error("ERR_INVALID_ARGUMENT", "unknown session command " + std::string(command));
    const device::CoreShare share(threads_);
    device::prepare_thread(share.threads(), deterministic_);
    Options options(arguments, std::string(command));
    return (this->*method->second)(options, control);
  }

 private:
  data::Preprocessing preprocessing() const { return model_->model_cp ? data::Preprocessing::Adv : data::Preprocessing::Plain; }

  Value load(Options& options, Control&) {
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

  Value save(Options& options, Control&) {
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
      state.emplace_back(name, dtype == "fp16" ? halved(name, tensor) : tensor.detach());
    const auto written = format == "pth" ? weights::write_pth(path, state) : weights::write_safetensors(path, state);
    return Dict{{"path", written.path}, {"bytes", written.bytes}, {"sha256", written.sha256}, {"tensors", state.size()}};
  }

  Value digest(Options& options, Control&) {
    options.done();
    Dict digests;
    for (const auto& [name, tensor] : model_->state_dict()) digests[name] = fingerprint(tensor);
    return digests;
  }

  Value parameters(Options& options, Control&) {
    options.done();
    List list;
    for (const auto& [name, tensor] : model_->unique_parameters()) {
      List shape;
      for (auto side : tensor.sizes()) shape.emplace_back(side);
      list.push_back(Dict{{"name", name}, {"shape", shape}, {"trainable", tensor.requires_grad()}});
    }
    return list;
  }

  Value begin_stage(Options& options, Control&) {
    const auto number = options.require_integer("stage");
    if (number != 1 && number != 2) throw Error("ERR_INVALID_ARGUMENT", "begin_stage: stage must be 1 or 2");
    const auto trainer_options = train::read_trainer_options(options, number);
    trainer_.reset();  // opening a stage changes what is trainable, also when it fails
    const train::StageContext context{model_, preprocessing(), device_, precision_};
    auto stage = number == 1 ? train::open_detector_stage(context, options) : train::open_mask_stage(context, options);
    options.done();
    trainer_ = std::make_unique<train::Trainer>(std::move(stage), trainer_options, seed_);
    auto report = trainer_->describe();
    report["options"] = List(options.names().begin(), options.names().end());
    return report;
  }

  Value end_stage(Options& options, Control&) {
    options.done();
    trainer_.reset();
    for (auto& [name, parameter] : model_->unique_parameters()) {
      parameter.set_requires_grad(false);
      parameter.mutable_grad().reset();
    }
    return {};
  }

  Value set_loss_weights(Options& options, Control&) {
    trainer().set_loss_weights(options);
    options.done();
    return {};
  }

  Value train_epoch(Options& options, Control& control) {
    auto request = read_request(options);
    request.fold = options.integer("fold", 0);
    request.epoch = options.require_integer("epoch");
    request.start_step = options.integer("start_step", 0);
    if (request.start_step < 0) throw Error("ERR_INVALID_ARGUMENT", "start_step must not be negative");
    request.augment = options.read(setting::epoch::augment);
    request.complex_augmentation = options.read(setting::epoch::complex_augmentation);
    if (request.complex_augmentation && !request.augment) {
      throw Error("ERR_INVALID_ARGUMENT", "complex_augmentation adds to the simple one: set augment too");
    }
    request.variants = options.read(setting::epoch::augmentation_variants);
    if (request.variants > 0 && !request.complex_augmentation) {
      throw Error("ERR_INVALID_ARGUMENT", "augmentation_variants limits complex_augmentation: set that too");
    }
    options.done();
    return trainer().train_epoch(request, control);
  }

  Value validate(Options& options, Control& control) {
    const auto request = read_request(options);
    options.done();
    return trainer().validate(request, control);
  }

  Value observe(Options& options, Control&) {
    const double loss = options.number("loss", 0);
    options.done();
    return Dict{{"lr", trainer().observe(loss)}};
  }

  Value save_state(Options& options, Control&) {
    const auto path = options.require_text("path");
    options.done();
    return trainer().save_state(path);
  }

  Value load_state(Options& options, Control&) {
    const auto path = options.require_text("path");
    options.done();
    return trainer().load_state(path);
  }

  Value transfer_weights(Options& options, Control&) {
    const auto to = options.text("to", "image_encoder");
    options.done();
    if (to != "image_encoder" && to != "cellfinder") {
      throw Error("ERR_INVALID_ARGUMENT",
                  "transfer_weights: to must be \"image_encoder\" or \"cellfinder\", not \"" + to + "\"");
    }
    return Dict{
        {"tensors", cache::copy_backbone(model_, to == "cellfinder" ? cache::Backbone::CellFinder : cache::Backbone::Sam)}};
  }

  Value predict(Options& options, Control& control) {
    const auto image = read_image(options);
    const auto* boxes = options.array("boxes");
    auto predict_options = infer::read_predict_options(options);
    options.done();
    predict_options.preprocessing = preprocessing();
    at::NoGradGuard no_grad;
    device::Autocast autocast(device_, precision_);
    const auto given = boxes != nullptr ? std::optional(to_tensor(*boxes).to(at::kFloat)) : std::nullopt;
    const auto prediction = infer::predict(model_, image, predict_options, given, cancelled_by(control));
    return to_value(prediction);
  }

  Value candidates(Options& options, Control& control) {
    const auto image = read_image(options);
    infer::CandidateLimits limits;
    limits.floor = options.read(setting::candidates::floor);
    limits.most = options.read(setting::candidates::max_candidates);
    auto predict_options = infer::read_predict_options(options);
    options.done();
    predict_options.preprocessing = preprocessing();
    at::NoGradGuard no_grad;
    device::Autocast autocast(device_, precision_);
    return to_value(infer::find_candidates(model_, image, predict_options, limits, cancelled_by(control)));
  }

  Value prompt_iou(Options& options, Control& control) {
    const auto image = read_image(options);
    const auto labels = to_tensor(options.require_array("labels")).to(at::kInt);
    auto predict_options = infer::read_predict_options(options);
    options.done();
    predict_options.preprocessing = preprocessing();
    at::NoGradGuard no_grad;
    device::Autocast autocast(device_, precision_);
    const auto result = infer::box_mask_iou(model_, image, labels, predict_options, cancelled_by(control));
    return Dict{{"ids", to_array(result.ids)}, {"ious", to_array(result.ious.to(at::kDouble))}};
  }

  static at::Tensor halved(const std::string& name, const at::Tensor& tensor) {
    auto half = tensor.detach().to(at::kHalf);
    if (half.isfinite().all().item<bool>()) return half;
    throw Error("ERR_INVALID_ARGUMENT", "save: " + name + " has numbers that float16 cannot hold; save as fp32");
  }

  // For the places inside an inference that may end it.
  static infer::Cancelled cancelled_by(const Control& control) {
    return [&control] {
      stop_if_abandoned(control);
      return control.cancelled();
    };
  }

  // u8 [3,H,W], prepared exactly as the store prepares training images.
  static at::Tensor read_image(Options& options) {
    const auto prepare = data::read_prepare_options(options);
    return data::prepare_image(options.require_array("image"), prepare);
  }

  train::EpochRequest read_request(Options& options) {
    train::EpochRequest request;
    request.store = open_store(options.require_text("store"));
    request.batch_size = options.read(setting::epoch::batch_size);
    const auto indices = to_tensor(options.require_array("indices")).to(at::kLong);
    request.indices.assign(indices.data_ptr<std::int64_t>(), indices.data_ptr<std::int64_t>() + indices.numel());
    if (request.indices.empty())
      throw Error("ERR_INVALID_ARGUMENT", "indices is empty: there is nothing to train or validate on");
    return request;
  }

  // Training and validation alternate on one store; mapping it once keeps its checksums verified.
  std::shared_ptr<const data::Store> open_store(const std::string& path) {
    if (!store_ || store_path_ != path) {
      store_ = std::make_shared<const data::Store>(path);
      store_path_ = path;
    }
    return store_;
  }

  train::Trainer& trainer() {
    if (!trainer_) throw Error("ERR_STATE", "no stage is open: call begin_stage first");
    return *trainer_;
  }

  at::Device device_;
  device::Precision precision_;
  std::uint64_t seed_;
  std::int64_t threads_;
  bool deterministic_;
  model::CellSam model_{nullptr};
  std::unique_ptr<train::Trainer> trainer_;
  std::shared_ptr<const data::Store> store_;
  std::string store_path_;
};

}  // namespace

std::unique_ptr<Session> open_model(Options& options) { return std::make_unique<ModelSession>(options); }

}  // namespace cellsam::engine
