// Features of a frozen backbone against the backbone itself: every flip and turn of a tile, both backbones, both types of
// numbers.
#include <ATen/ATen.h>

#include <map>

#include "augment/augmentations.h"
#include "cache/frozen_backbone.h"
#include "data/batch.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"
#include "native/quiet.h"
#include "native/small_model.h"

namespace cellsam::test::frozen_backbone_program {

using cache::Backbone;
using device::Precision;

namespace {

// Tiles of noise, two of which have the same image, so that they share features.
std::shared_ptr<const data::Store> small_store(const std::string& path, std::int64_t side) {
  data::StoreWriter writer(path, side, {});
  at::manual_seed(5);
  const auto noise = at::randint(256, {3, side, side}, at::kByte), other = at::randint(256, {3, side, side}, at::kByte);
  data::TileOptions options;
  options.tile_size = side;
  for (const auto& [name, image] : std::map<std::string, at::Tensor>{{"a", noise}, {"b", other}, {"c", noise}}) {
    writer.add({name, side, side}, data::cut_tiles(image, at::ones({side, side}, at::kInt), options));
  }
  writer.finish();
  return std::make_shared<const data::Store>(path);
}

// The features of one image of a batch, by the model's own functions.
at::Tensor direct(model::CellSam& model, cache::Backbone backbone, device::Precision precision, const at::Tensor& image) {
  at::NoGradGuard no_grad;
  const auto size = model->size().image_size;
  device::Autocast autocast(at::kCPU, precision);
  if (backbone == cache::Backbone::CellFinder) {
    const auto input = data::detector_input(image.unsqueeze(0), size, data::Preprocessing::Plain);
    return model->cellfinder->backbone(input).permute({0, 2, 3, 1})[0];
  }
  return model->model->image_encoder->backbone(data::encoder_input(image.unsqueeze(0), size, data::Preprocessing::Plain))[0];
}

void check_turns(test::Checks& checks, cache::Backbone backbone, device::Precision precision, const std::string& dtype,
                 const std::string& what) {
  const test::Folder folder;
  auto model = small_model(1);
  const auto store = small_store(folder.file("set.tiles"), 48);
  cache::FeatureOptions options;
  options.folder = folder.file("features");
  options.disk_limit = 1 << 30;
  options.dtype = dtype;
  const cache::BackboneSetting setting{backbone, data::Preprocessing::Plain, at::kCPU, precision};
  cache::FrozenBackbone kept(model, setting, options);
  options.folder.clear();
  cache::FrozenBackbone computed(model, setting, options);
  const bool rounds = dtype == "bf16" || (dtype == "auto" && precision == device::Precision::bf16);

  const Quiet control;
  bool same = true, as_backbone = true, no_graph = true;
  std::int64_t images = 0;
  for (std::uint64_t epoch = 0; epoch < 100; ++epoch) {
    const auto batch = data::assemble(*store, {0, 1, 2}, augment::augmenter(3, epoch));
    kept.prefetch(batch);
    const auto features = kept(batch, control);
    same = same && features.equal(computed(batch, control));
    no_graph = no_graph && !features.requires_grad();
    images += 3;
    for (std::int64_t i = 0; i < 3 && epoch < 30; ++i) {
      auto expected = direct(model, backbone, precision, batch.images[i]);
      if (rounds) expected = expected.to(at::kBFloat16);
      as_backbone = as_backbone && features[i].to(at::kFloat).equal(expected.to(at::kFloat));
    }
  }
  checks.holds(what + ": with and without keeping, to the last bit", same && no_graph);
  checks.holds(what + ": the backbone's features of the transformed image", as_backbone);
  const auto counts = kept.take_counts();
  // The rarest transform has a probability of 1/16 in each of 100 epochs.
  checks.holds(what + ": every transform of every image was computed once", counts.computed == 16);
  checks.holds(what + ": and all others were kept", counts.kept == images - 16);
  checks.holds(what + ": nothing is kept without a folder", computed.take_counts().kept == 0);
  const auto plain = data::assemble(*store, {2, 1});
  kept(plain, control);
  checks.holds(what + ": validation finds what training kept", kept.take_counts().computed == 0);
  // Epoch 2 is the first in which this tile is deformed too.
  auto endless = data::assemble(*store, {0}, augment::augmenter(3, 2, augment::Level::Complex));
  endless.cacheable = false;
  kept(endless, control);
  kept(endless, control);
  checks.holds(what + ": images that cannot occur again are not kept", kept.take_counts().computed == 2);
  checks.holds(what + ": there are no notices", kept.take_notices().empty());
}

void check_keys(test::Checks& checks) {
  const test::Folder folder;
  const auto store = small_store(folder.file("set.tiles"), 64);
  const auto batch = data::assemble(*store, {0, 1});
  const Quiet control;
  cache::FeatureOptions options;
  options.folder = folder.file("features");
  options.disk_limit = 1 << 30;
  const cache::BackboneSetting setting{cache::Backbone::Sam, data::Preprocessing::Plain, at::kCPU, device::Precision::fp32};
  const auto computed = [&](model::CellSam model, const cache::BackboneSetting& how, const cache::FeatureOptions& where) {
    cache::FrozenBackbone backbone(model, how, where);
    backbone(batch, control);
    return backbone.take_counts().computed;
  };
  checks.holds("first time", computed(small_model(1), setting, options) == 2);
  checks.holds("same weights in another model", computed(small_model(1), setting, options) == 0);
  checks.holds("other weights", computed(small_model(2), setting, options) == 2);
  auto how = setting;
  how.backbone = cache::Backbone::CellFinder;
  checks.holds("other backbone", computed(small_model(1), how, options) == 2);
  how = setting;
  how.preprocessing = data::Preprocessing::Adv;
  checks.holds("other preprocessing", computed(small_model(1), how, options) == 2);
  how = setting;
  how.precision = device::Precision::bf16;
  checks.holds("other precision", computed(small_model(1), how, options) == 2);
  auto where = options;
  where.dtype = "bf16";
  checks.holds("other type of numbers", computed(small_model(1), setting, where) == 2);
  where = options;
  where.version = "next";
  checks.holds("other version of the package", computed(small_model(1), setting, where) == 2);

  auto model = small_model(1);
  cache::FrozenBackbone backbone(model, setting, options);
  const auto before = backbone(batch, control);
  {
    at::NoGradGuard no_grad;
    for (auto& [name, tensor] : model->state_dict()) {
      if (name == "model.image_encoder.neck.0.weight") tensor.add_(1);
    }
  }
  backbone(batch, control);
  checks.holds("the neck is no part of the backbone", backbone.take_counts().computed == 0);
  {
    at::NoGradGuard no_grad;
    for (auto& [name, tensor] : model->state_dict()) {
      if (name == "model.image_encoder.blocks.1.mlp.lin2.bias") tensor.add_(1);
    }
  }
  const auto after = backbone(batch, control);
  checks.holds("weights that change while a stage is open",
               backbone.take_counts().computed == 2 && (after - before - 1).abs().max().item<double>() < 1e-4);
}

}  // namespace

TEST_PROGRAM(frozen_backbone) {
  test::Checks checks("frozen_backbone");
  at::set_num_threads(1);
  check_turns(checks, cache::Backbone::Sam, device::Precision::fp32, "auto", "SAM's backbone");
  check_turns(checks, cache::Backbone::CellFinder, device::Precision::fp32, "auto", "CellFinder's backbone");
  check_turns(checks, cache::Backbone::Sam, device::Precision::bf16, "auto", "in bf16");
  check_turns(checks, cache::Backbone::Sam, device::Precision::fp32, "bf16", "kept in bf16");
  check_keys(checks);
  return checks.finish();
}

}  // namespace cellsam::test::frozen_backbone_program
