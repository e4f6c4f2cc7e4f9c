// The session of kind "model": a CellSAM with its weights, and the training stage that is open on it.
#pragma once

#include <memory>

#include "base/options.h"
#include "engine.h"

namespace cellsam::engine {

// Options: size (name of a ModelSize), overrides (fields of it), generation = "plain" | "adv", device = "cpu", precision =
// "auto" | "fp32" | "bf16", seed = 42, threads = 0 (see CoreShare), deterministic = false, float32_matmul_precision = "highest"
// | "high" (TF32 on a GPU), priority = "normal" | "low" (of the CPU's threads), distributed = false: whether the processes of
// the joined group (process_group_session.h) train this model together. Each of them has such a session then, and calls in the
// same order its commands load_state, share_weights, and all of the open stage but save_state; what fails in one fails in all.
// Reads all options and calls options.done().
//
// Commands and their arguments, by name:
//   load {path}                         loads a checkpoint; returns a weights::LoadReport
//   save {path, format = "pth" | "safetensors", dtype = "fp32" | "fp16"}   -> {path, bytes, sha256, tensors}
//   digest {}                           -> {name: fingerprint} of every entry of the state dict
//   parameters {}                       -> [{name, shape, trainable}]
//   begin_stage {stage, ...}            opens stage 1 or 2, with TrainerOptions and the options of the stage
//   set_loss_weights {...}              of the open stage, by the names of its options; absent ones stay as they are
//   train_epoch, validate {store, indices, ...}   see trainer.h
//   observe {loss}                      -> {lr}; an epoch's loss for the plateau schedule
//   save_state, load_state {path}       the state of the open stage, see Trainer
//   end_stage {}
//   transfer_weights {to = "image_encoder" | "cellfinder"}   -> {tensors}; copies one backbone to the other, see copy_backbone
//   share_weights {}                    gives the weights of process 0 to the others
//   predict {image, boxes?, ...}        -> {labels, scores, boxes, ious, count}, see infer::predict and infer::PredictOptions
//   candidates {image, floor = 0.01, max_candidates = 1000, ...}   see infer::find_candidates and engine/candidates.h
//   prompt_iou {image, labels, ...}     -> {ids, ious}, see infer::box_mask_iou
//   embed {view, image, trained_prompts = "all" | "boxes", kept_tiles = 16, ...}   -> {height, width}; opens an image for
//                                       prompts under a number of the caller's, see infer::ImageView. Commands that change
//                                       weights end all views
//   segment {view, prompts}             -> [{mask u8 [h,w], bounds [x1, y1, x2, y2], score, logits f32 [m,m], tile}], of
//                                       prompts {points? f64 [k,2], labels? i32 [k], box? f64 [4], mask?, tile?, multimask?};
//                                       mask and tile are logits and tile of an earlier answer
//   detect {view}                       -> {boxes f64 [n,4], scores f64 [n]}
//   release {view}
//   concurrency {}                      -> how many of the above since `predict` may run at the same time; others run alone
//   encode {batch_size, repeats}        -> {mean}; the image encoder on noise, again and again
//   multiply {side, repeats}            -> {mean}; a square matrix by itself, in the session's precision
std::unique_ptr<Session> open_model(Options& options);

}  // namespace cellsam::engine
