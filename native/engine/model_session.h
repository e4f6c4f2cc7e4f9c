// The class behind open_model(): its state, and a function for each command that session.h lists. The functions stand in
// session_weights.cc, session_training.cc, session_inference.cc, session_views.cc and session_bench.cc, the rest in session.cc.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/options.h"
#include "base/workers.h"
#include "data/preprocess.h"
#include "data/store.h"
#include "device/device.h"
#include "dist/process_group.h"
#include "engine.h"
#include "infer/image_view.h"
#include "infer/network.h"
#include "infer/options.h"
#include "model/cellsam.h"
#include "train/trainer.h"

namespace cellsam::engine {

class ModelSession final : public Session {
 public:
  explicit ModelSession(Options& options);
  ~ModelSession() override;

  Value call(std::string_view command, const Value& arguments, Control& control) override;

 private:
  // The model's weights.
  Value load(Options& options, Control& control);
  Value save(Options& options, Control& control);
  Value digest(Options& options, Control& control);
  Value parameters(Options& options, Control& control);
  Value transfer_weights(Options& options, Control& control);
  Value share_weights(Options& options, Control& control);

  // The open stage.
  Value begin_stage(Options& options, Control& control);
  Value end_stage(Options& options, Control& control);
  Value set_loss_weights(Options& options, Control& control);
  std::unique_ptr<train::Stage> open_stage(std::int64_t number, Options& options);
  Value train_epoch(Options& options, Control& control);
  Value validate(Options& options, Control& control);
  Value observe(Options& options, Control& control);
  Value save_state(Options& options, Control& control);
  Value load_state(Options& options, Control& control);

  // Images.
  Value predict(Options& options, Control& control);
  Value candidates(Options& options, Control& control);
  Value prompt_iou(Options& options, Control& control);
  Value concurrency(Options& options, Control& control);

  // Images that stay open for prompts.
  Value embed(Options& options, Control& control);
  Value segment(Options& options, Control& control);
  Value detect(Options& options, Control& control);
  Value release(Options& options, Control& control);
  std::shared_ptr<infer::ImageView> view_of(Options& options);
  void forget_views();

  // How the commands on images go through tiles.
  infer::Each each_tile();

  // Work to take the time of.
  Value encode(Options& options, Control& control);
  Value multiply(Options& options, Control& control);

  infer::PredictOptions read_predict_options(Options& options);  // calls options.done()

  data::Preprocessing preprocessing() const { return model_->model_cp ? data::Preprocessing::Adv : data::Preprocessing::Plain; }

  train::Trainer& trainer() {
    if (!trainer_) throw Error("ERR_STATE", "no stage is open: call begin_stage first");
    return *trainer_;
  }

  train::EpochRequest read_request(Options& options);

  // Training and validation alternate on one store; mapping it once keeps its checksums verified.
  std::shared_ptr<const data::Store> open_store(const std::string& path);

  // The cores of all commands that run now.
  std::shared_ptr<const device::CoreShare> cores();

  // Current on the session's thread in every command, and where the session ends: an event that is recorded, waited for or
  // destroyed there goes back to the device that was current before, and would make a context of hundreds of MB on GPU 0.
  at::Device device_;
  device::Precision precision_;
  std::uint64_t seed_;
  std::int64_t threads_;
  bool deterministic_;
  bool tf32_;
  std::mutex cores_mutex_;
  std::weak_ptr<const device::CoreShare> cores_;  // under cores_mutex_
  std::shared_ptr<dist::ProcessGroup> group_;     // with the option `distributed`
  model::CellSam model_{nullptr};
  std::shared_ptr<infer::BatchLimits> batch_limits_ = std::make_shared<infer::BatchLimits>();
  // One thread for each tile of images, and for each image of a batch in training; null where the threads share the work inside
  // of operators.
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<train::Trainer> trainer_;
  std::shared_ptr<const data::Store> store_;
  std::string store_path_;
  std::mutex views_mutex_;
  std::map<std::int64_t, std::shared_ptr<infer::ImageView>> views_;  // under views_mutex_; by the caller's number
};

}  // namespace cellsam::engine
