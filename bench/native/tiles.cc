// What reaches a training step from the store of tiles: flips and quarter turns, and at will the network's input; and the store
// itself as it grows.
#include <filesystem>
#include <numeric>

#include "augment/augmentations.h"
#include "data/preprocess.h"
#include "data/sampler.h"
#include "fixture.h"
#include "row.h"

namespace cellsam::bench {
namespace {

std::string store_in(const std::string& folder) { return folder + "/tiles.store"; }

// One repetition is one epoch over the store.
class Tiles final : public Row {
 public:
  Tiles(const Setting& setting, std::int64_t network, std::int64_t batch)
      : store_(std::make_shared<data::Store>(store_in(setting.folder))), network_(network), batch_(batch) {
    indices_.resize(static_cast<std::size_t>(store_->size()));
    std::iota(indices_.begin(), indices_.end(), 0);
  }

  // Sums that no flip or turn changes.
  Dict check() override {
    const auto all = data::assemble(*store_, indices_, augment::augmenter(1, 0));
    return {{"image", all.images.to(at::kDouble).mean().item<double>()},
            {"labels", all.labels.to(at::kDouble).mean().item<double>()}};
  }

  void run() override {
    const auto order = data::epoch_order(indices_, 1, 0, ++epoch_);
    for (const auto& part : data::in_batches(order, batch_)) {
      const auto batch = data::assemble(*store_, part, augment::augmenter(1, epoch_));
      if (network_ > 0) data::encoder_input(batch.images, network_, data::Preprocessing::Plain);
    }
  }

 private:
  std::shared_ptr<const data::Store> store_;
  std::int64_t network_, batch_;
  std::vector<std::int64_t> indices_;
  std::uint64_t epoch_ = 0;
};

std::unique_ptr<Row> open_tiles(const Setting& setting, Options& parameters) {
  parameters.integer("files", 0);
  const auto network = parameters.integer("network", 0), batch = parameters.integer("batch", 4);
  return std::make_unique<Tiles>(setting, network, batch);
}

// The store comes from the package, which decodes the images that the peer has written.
void no_fixture(const Setting&, Options&) { throw Error("ERR_INVALID_ARGUMENT", "the package writes this fixture"); }

// One repetition opens the store, shuffles an epoch and reads `reads` of its tiles.
class StoreGrowth final : public Row {
 public:
  StoreGrowth(const Setting& setting, std::int64_t reads) : path_(store_in(setting.folder)), reads_(reads) {}

  Dict check() override { return {{"tiles", data::Store(path_).size()}}; }

  void run() override {
    const data::Store store(path_);
    std::vector<std::int64_t> indices(static_cast<std::size_t>(store.size()));
    std::iota(indices.begin(), indices.end(), 0);
    auto order = data::epoch_order(indices, 1, 0, 1);
    if (reads_ > 0) order.resize(static_cast<std::size_t>(std::min(reads_, store.size())));
    for (auto index : order) data::find_instances(store.sample(index).labels);
  }

 private:
  std::string path_;
  std::int64_t reads_;
};

void write_growth_fixture(const Setting& setting, Options& parameters) {
  const auto tiles = parameters.integer("tiles", 1);
  const auto drawn = draw_tile(parameters.integer("tile", 16), 4);
  parameters.integer("reads", 0);
  data::StoreWriter writer(store_in(setting.folder), drawn.labels.size(1), {});
  const data::Tile tile{drawn.images[0], drawn.labels[0], 0, 0, {0, 0, drawn.labels.size(1), drawn.labels.size(1)}};
  for (std::int64_t i = 0; i < tiles; ++i) {
    writer.add({"tile" + std::to_string(i), drawn.labels.size(1), drawn.labels.size(1)}, {tile});
  }
  writer.finish();
}

std::unique_ptr<Row> open_growth(const Setting& setting, Options& parameters) {
  for (const char* name : {"tiles", "tile"}) parameters.integer(name, 0);
  return std::make_unique<StoreGrowth>(setting, parameters.integer("reads", 0));
}

}  // namespace

std::map<std::string, Maker> tile_rows() {
  return {{"tiles", {no_fixture, open_tiles}}, {"store", {write_growth_fixture, open_growth}}};
}

}  // namespace cellsam::bench
