// Commands of the training stage that is open on the model.
#include "engine/model_session.h"

#include <ATen/ATen.h>

#include "base/tensors.h"
#include "model/small_tiles.h"
#include "settings/epoch.h"
#include "train/by_image.h"
#include "train/stage.h"

namespace cellsam::engine {
namespace {

// Reads the arguments of a collective command: a store, say, may be missing on one of several machines.
template <class Read>
train::EpochRequest read_together(const std::shared_ptr<dist::ProcessGroup>& group, Read read) {
  return group ? group->together(read) : read();
}

// Of training alone.
void read_epoch(Options& options, train::EpochRequest& request) {
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
}

}  // namespace

Value ModelSession::begin_stage(Options& options, Control&) {
  const auto number = options.require_integer("stage");
  if (number != 1 && number != 2) throw Error("ERR_INVALID_ARGUMENT", "begin_stage: stage must be 1 or 2");
  const auto trainer_options = train::read_trainer_options(options, number);
  trainer_.reset();  // opening a stage changes what is trainable, also when it fails
  auto stage = open_stage(number, options);
  options.done();
  trainer_ = std::make_unique<train::Trainer>(std::move(stage), trainer_options, seed_, group_);
  auto report = trainer_->describe();
  report["options"] = List(options.names().begin(), options.names().end());
  return report;
}

std::unique_ptr<train::Stage> ModelSession::open_stage(std::int64_t number, Options& options) {
  const auto given = options;
  const auto open = [&, number](model::CellSam& model) {
    const train::StageContext context{model, preprocessing(), device_, precision_};
    options = given;
    return number == 1 ? train::open_detector_stage(context, options) : train::open_mask_stage(context, options);
  };
  const bool small = device_.is_cpu() && model::has_small_tiles(model_->size());
  return small ? train::open_by_image(model_, open, workers_.get()) : open(model_);
}

Value ModelSession::end_stage(Options& options, Control&) {
  options.done();
  trainer_.reset();
  for (auto& [name, parameter] : model_->unique_parameters()) {
    parameter.set_requires_grad(false);
    parameter.mutable_grad().reset();
  }
  return {};
}

Value ModelSession::set_loss_weights(Options& options, Control&) {
  trainer().set_loss_weights(options);
  options.done();
  return {};
}

Value ModelSession::train_epoch(Options& options, Control& control) {
  const auto request = read_together(group_, [&] {
    auto read = read_request(options);
    read_epoch(options, read);
    options.done();
    trainer();  // throws where no stage is open
    return read;
  });
  return trainer().train_epoch(request, control);
}

Value ModelSession::validate(Options& options, Control& control) {
  const auto request = read_together(group_, [&] {
    auto read = read_request(options);
    options.done();
    trainer();  // throws where no stage is open
    return read;
  });
  return trainer().validate(request, control);
}

Value ModelSession::observe(Options& options, Control&) {
  const double loss = options.number("loss", 0);
  options.done();
  return Dict{{"lr", trainer().observe(loss)}};
}

Value ModelSession::save_state(Options& options, Control&) {
  const auto path = options.require_text("path");
  options.done();
  return trainer().save_state(path);
}

Value ModelSession::load_state(Options& options, Control&) {
  const auto path = options.require_text("path");
  options.done();
  return trainer().load_state(path);
}

train::EpochRequest ModelSession::read_request(Options& options) {
  train::EpochRequest request;
  request.store = open_store(options.require_text("store"));
  request.batch_size = options.read(setting::epoch::batch_size);
  const auto indices = to_tensor(options.require_array("indices")).to(at::kLong);
  request.indices.assign(indices.data_ptr<std::int64_t>(), indices.data_ptr<std::int64_t>() + indices.numel());
  if (request.indices.empty())
    throw Error("ERR_INVALID_ARGUMENT", "indices is empty: there is nothing to train or validate on");
  return request;
}

std::shared_ptr<const data::Store> ModelSession::open_store(const std::string& path) {
  if (!store_ || store_path_ != path) {
    store_ = std::make_shared<const data::Store>(path);
    store_path_ = path;
  }
  return store_;
}

}  // namespace cellsam::engine
