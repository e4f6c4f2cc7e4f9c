// The session of kind "model": one CellSAM, its weights, and the training stage that is open on it.
#pragma once

#include <memory>

#include "base/options.h"
#include "engine.h"

namespace cellsam::engine {

// Options: size (a name of the table), overrides (fields of it), generation = "plain" | "adv", device = "cpu", precision =
// "fp32" | "bf16", seed = 42, threads = 0 (all cores, see CoreShare), deterministic = false. Reads them all and calls
// options.done().
//
// Commands, all arguments by name:
//   load {path}                         fill the model from a checkpoint; answers weights::LoadReport
//   save {path, format = "pth"|"safetensors", dtype = "fp32"|"fp16"}
//   digest {}                           64-bit fingerprint of every entry of the state dict
//   parameters {}                       [{name, shape, trainable}]
//   begin_stage {stage, ...}            opens a stage: TrainerOptions and the stage's own options
//   set_loss_weights {...}              those of the open stage's losses, by the names of its options; absent ones stay
//   train_epoch, validate {store, indices, ...}   see trainer.h
//   observe {loss}                      tells the plateau schedule; answers {lr}
//   save_state, load_state {path}       the resumable state of the open stage
//   end_stage {}
//   transfer_weights {to = "image_encoder"|"cellfinder"}   one backbone into the other (after the best stage-1 weights are
//   back) predict {image, ...}                see infer::PredictOptions; answers {labels, scores, boxes, ious, count}
//   candidates {image, floor = 0.01, max_candidates = 1000, ...}   see infer::find_candidates and engine/candidates.h
//   prompt_iou {image, labels, ...}     mask IoU of every instance when its true box is the prompt
std::unique_ptr<Session> open_model(Options& options);

}  // namespace cellsam::engine
