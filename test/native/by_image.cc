// A batch computed image by image on several threads against the same stage on the whole batch: losses and gradients, of both
// stages, with images that have no cells among them.
#include "train/by_image.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "data/batch.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"
#include "native/quiet.h"
#include "native/small_model.h"

namespace cellsam::test::by_image_program {

using train::OpenStage;
using train::Stage;
using train::StageContext;

namespace {

// Five tiles of noise with 3, 0, 1, 2 and 0 squares as cells.
std::shared_ptr<const data::Store> store_of_squares(const std::string& path) {
  data::StoreWriter writer(path, kSmallSide, {});
  at::manual_seed(5);
  data::TileOptions options;
  options.tile_size = kSmallSide;
  for (const std::int64_t cells : {3, 0, 1, 2, 0}) {
    const auto image = at::randint(256, {3, kSmallSide, kSmallSide}, at::kByte);
    auto labels = at::zeros({kSmallSide, kSmallSide}, at::kInt);
    for (std::int64_t cell = 0; cell < cells; ++cell)
      labels.narrow(0, 4 + 20 * cell, 12 + cell).narrow(1, 8 + 10 * cell, 14).fill_(cell + 1);
    writer.add({"tile" + std::to_string(writer.size()), kSmallSide, kSmallSide}, data::cut_tiles(image, labels, options));
  }
  writer.finish();
  return std::make_shared<const data::Store>(path);
}

struct Outcome {
  at::Tensor losses, validation;
  std::vector<at::Tensor> gradients;
};

Outcome run(Stage& stage, const data::Batch& batch) {
  const Quiet control;
  Outcome outcome;
  outcome.losses = stage.train_batch(batch, 0.5, {7, 1}, control).value();
  outcome.validation = stage.evaluate_batch(batch, control).value();
  for (const auto& [name, parameter] : stage.trainable()) outcome.gradients.push_back(parameter.grad().clone());
  return outcome;
}

// The stage on whole batches, and by image on so many threads.
void compare(Checks& checks, const std::string& what, std::int64_t stage, const Dict& options, const data::Batch& batch) {
  auto model = small_model(1);
  const OpenStage open = [&](model::CellSam& network) {
    const StageContext context{network, data::Preprocessing::Plain, at::kCPU, device::Precision::fp32};
    Options given(options, "stage");
    return stage == 1 ? train::open_detector_stage(context, given) : train::open_mask_stage(context, given);
  };
  const auto whole = run(*open(model), batch);
  std::optional<Outcome> first;
  for (const std::int64_t threads : {1, 2, 5}) {
    for (auto& [name, parameter] : model->unique_parameters()) parameter.mutable_grad().reset();
    Workers workers(threads, [] { at::set_num_threads(1); });
    auto stage_by_image = train::open_by_image(model, open, threads == 1 ? nullptr : &workers);
    const auto found = run(*stage_by_image, batch);
    const auto name = what + ", threads " + std::to_string(threads);
    checks.holds(name + ": takes them", stage_by_image->threads() == threads);
    checks.relative(name + ": losses", found.losses, whole.losses, 2e-6);
    checks.relative(name + ": validation", found.validation, whole.validation, 2e-6);
    const auto joined = [](const Outcome& outcome) {
      std::vector<at::Tensor> flat;
      for (const auto& gradient : outcome.gradients) flat.push_back(gradient.flatten());
      return at::cat(flat);
    };
    checks.relative(name + ": gradients", joined(found), joined(whole), 2e-5);
    if (!first) first = found;
    checks.holds(name + ": the bits of one thread", joined(found).equal(joined(*first)) && found.losses.equal(first->losses));
  }
}

}  // namespace

TEST_PROGRAM(by_image) {
  at::set_num_threads(1);
  Checks checks("by_image");
  const Folder folder;
  const auto store = store_of_squares(folder.file("set.tiles"));
  const auto batch = data::assemble(*store, {0, 1, 2, 3, 4});
  compare(checks, "detector", 1, {}, batch);
  compare(checks, "head alone", 1, {{"freeze_backbone", true}, {"aux_loss", false}}, batch);
  compare(checks, "a dense head beside it", 1, {{"dense_loss_weight", 0.5}}, batch);
  compare(checks, "a backbone that learns by LoRA", 1, {{"lora_rank", 2}, {"lora_layers", "all"}}, batch);
  compare(checks, "neck", 2, {{"prompt_chunk", 2}}, batch);
  compare(checks, "decoder, and a prompt without a cell", 2,
          {{"train_neck_only", false}, {"freeze_mask_decoder", false}, {"background_prompt", true}, {"box_jitter", 0.1}},
          batch);

  // Without cells there is nothing to learn in stage 2.
  auto model = small_model(1);
  const OpenStage masks = [](model::CellSam& network) {
    Options none(Dict{}, "stage");
    return train::open_mask_stage({network, data::Preprocessing::Plain, at::kCPU, device::Precision::fp32}, none);
  };
  const Quiet control;
  const auto empty = data::assemble(*store, {1, 4});
  const auto stage = train::open_by_image(model, masks, nullptr);
  checks.holds("no cells, no losses", !stage->train_batch(empty, 1, {7, 1}, control) && !stage->evaluate_batch(empty, control));

  // Hard examples are those of the whole batch.
  const OpenStage mining = [](model::CellSam& network) {
    Options options(Dict{{"online_hard_negative_mining", true}}, "stage");
    return train::open_mask_stage({network, data::Preprocessing::Plain, at::kCPU, device::Precision::fp32}, options);
  };
  checks.holds("mining is not divided", !train::open_by_image(model, mining, nullptr)->divides());
  return checks.finish();
}

}  // namespace cellsam::test::by_image_program
