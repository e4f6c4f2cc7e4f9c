#include "engine/session.h"

#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <map>

#include "data/prepare_options.h"
#include "engine/model_session.h"
#include "model/small_tiles.h"
#include "os/process.h"
#include "settings/session.h"

namespace cellsam::engine {

ModelSession::ModelSession(Options& options)
    : device_(device::parse_device(options.text("device", "cpu"))),
      precision_(device::parse_precision(options.read(setting::session::precision), device_)),
      seed_(static_cast<std::uint64_t>(options.read(setting::session::seed))),
      threads_(options.read(setting::session::threads)),
      deterministic_(options.read(setting::session::deterministic)),
      tf32_(options.read(setting::session::float32_matmul_precision) == "high") {
  const auto name = options.require_text("size");
  const auto* overrides = options.value("overrides");
  const auto size = model::model_size(name, overrides != nullptr ? *overrides : Value());
  const auto preprocessing = data::parse_preprocessing(options.read(setting::session::generation));
  if (options.flag("distributed", false)) {
    group_ = dist::joined_group();
    if (!group_) throw Error("ERR_STATE", "distributed: this process has joined no others");
  }
  const bool low_priority = options.read(setting::session::priority) == "low";
  options.done();
  // The threads that start from here on inherit it. Those of a GPU's session only start kernels, and must not be late.
  if (low_priority && device_.is_cpu()) os::lower_thread_priority();
  const device::CoreShare share(threads_);
  const c10::DeviceGuard current(device_);
  device::prepare_thread({share.threads(), deterministic_, tf32_});
  if (const auto most = device::most_threads(threads_); device_.is_cpu() && most > 1 && model::has_small_tiles(size)) {
    workers_ = std::make_unique<Workers>(most, [deterministic = deterministic_] {
      device::prepare_thread({1, deterministic});
    });
  }
  model_ = model::draw_weights(size, preprocessing == data::Preprocessing::Adv, seed_);
  model_->to(device_);
  model_->eval();
  // Nothing trains until a stage begins, and the backbones keep packed copies of frozen weights alone.
  for (auto& [name, parameter] : model_->unique_parameters()) parameter.set_requires_grad(false);
}

ModelSession::~ModelSession() {
  c10::OptionalDeviceGuard current;
  try {
    current.reset_device(device_);
  } catch (const c10::Error&) {
    // The device has failed, which every later use of it says.
  }
  trainer_.reset();
  forget_views();
  model_ = nullptr;
}

Value ModelSession::call(std::string_view command, const Value& arguments, Control& control) {
  struct Command {
    Value (ModelSession::*run)(Options&, Control&);
    bool by_image = false;  // whether it leaves its work to workers_, where there are any
    bool together = false;  // whether all processes of a group do it, without a collective function
    bool changes_weights = false;
  };
  static const std::map<std::string_view, Command> commands{
      {"load", {.run = &ModelSession::load, .changes_weights = true}},
      {"save", {&ModelSession::save}},
      {"digest", {&ModelSession::digest}},
      {"parameters", {&ModelSession::parameters}},
      {"begin_stage", {.run = &ModelSession::begin_stage, .together = true}},
      {"set_loss_weights", {.run = &ModelSession::set_loss_weights, .together = true}},
      {"train_epoch", {.run = &ModelSession::train_epoch, .by_image = true, .changes_weights = true}},
      {"validate", {.run = &ModelSession::validate, .by_image = true}},
      {"observe", {.run = &ModelSession::observe, .together = true}},
      {"save_state", {&ModelSession::save_state}},
      {"load_state", {.run = &ModelSession::load_state, .together = true, .changes_weights = true}},
      {"end_stage", {.run = &ModelSession::end_stage, .together = true}},
      {"transfer_weights", {.run = &ModelSession::transfer_weights, .together = true, .changes_weights = true}},
      {"share_weights", {.run = &ModelSession::share_weights, .changes_weights = true}},
      {"predict", {.run = &ModelSession::predict, .by_image = true}},
      {"prompt_iou", {.run = &ModelSession::prompt_iou, .by_image = true}},
      {"candidates", {.run = &ModelSession::candidates, .by_image = true}},
      {"embed", {.run = &ModelSession::embed, .by_image = true}},
      {"segment", {.run = &ModelSession::segment, .by_image = true}},
      {"detect", {.run = &ModelSession::detect, .by_image = true}},
      {"release", {&ModelSession::release}},
      {"concurrency", {&ModelSession::concurrency}},
      {"encode", {&ModelSession::encode}},
      {"multiply", {&ModelSession::multiply}},
  };
  const auto found = commands.find(command);
  if (found == commands.end()) throw Error("ERR_INVALID_ARGUMENT", "unknown session command " + std::string(command));
  const auto& [run, by_image, together, changes_weights] = found->second;
  const auto share = cores();
  const c10::DeviceGuard current(device_);
  device::prepare_thread({by_image && workers_ ? 1 : share->threads(), deterministic_, tf32_});
  if (changes_weights) forget_views();
  Options options(arguments, std::string(command));
  if (!group_ || !together) return (this->*run)(options, control);
  return group_->together([&] { return (this->*run)(options, control); });
}

// Commands that run at the same time have one share, since they divide the threads of `workers_`.
std::shared_ptr<const device::CoreShare> ModelSession::cores() {
  std::lock_guard lock(cores_mutex_);
  auto share = cores_.lock();
  if (!share) cores_ = share = std::make_shared<const device::CoreShare>(threads_);
  return share;
}

std::unique_ptr<Session> open_model(Options& options) { return std::make_unique<ModelSession>(options); }

}  // namespace cellsam::engine
