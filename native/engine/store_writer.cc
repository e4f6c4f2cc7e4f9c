#include "engine/store_writer.h"

#include <ATen/ATen.h>

#include <cstring>

#include "base/tensors.h"
#include "data/instances.h"
#include "data/normalize.h"
#include "data/prepare_options.h"
#include "data/store.h"
#include "data/tile.h"

namespace cellsam::engine {
namespace {

// Label map i32 [H,W] of an image [3,H,W]; zeros when there is none.
at::Tensor read_labels(const Array* labels, const at::Tensor& image) {
  const auto height = image.size(1), width = image.size(2);
  if (labels == nullptr) return at::zeros({height, width}, at::kInt);
  auto invalid = [](const std::string& message) { throw Error("ERR_INVALID_LABELS", "labels: " + message); };
  if (labels->shape != std::vector<std::int64_t>{height, width}) {
    std::string shape;
    for (auto side : labels->shape) shape += (shape.empty() ? "" : ",") + std::to_string(side);
    invalid("the image is " + std::to_string(height) + "x" + std::to_string(width) + ", the label map has shape [" + shape +
            "]; they must have the same height and width");
  }
  if (labels->dtype == Dtype::f32 || labels->dtype == Dtype::f64) invalid("ids must be integers (i32, u16 or u8)");
  const auto ids = to_tensor(*labels).to(at::kInt).contiguous();
  if (ids.lt(data::kIgnore).any().item<bool>()) {
    invalid("negative ids; 0 is background, cells count from 1, and of the negative numbers only -1 (ignore) is known");
  }
  return ids;
}

class StoreWriterSession : public Session {
 public:
  StoreWriterSession(data::PrepareOptions prepare, data::TileOptions tiling, std::string path, data::Settings settings)
      : prepare_(prepare), tiling_(tiling), writer_(std::move(path), tiling.tile_size, std::move(settings)) {}

  Value call(std::string_view command, const Value& arguments, Control& control) override {
    Options options(arguments, "store_writer." + std::string(command));
    if (command == "add") return add(options);
    if (command == "finish") return finish(options);
    throw Error("ERR_INVALID_ARGUMENT", "store_writer: unknown command " + std::string(command) + "; known: add, finish");
  }

 private:
  Value add(Options& options) {
    const auto name = options.require_text("source");
    const auto& pixels = options.require_array("image");
    const auto* labels = options.array("labels");
    options.done();
    try {
      const auto image = data::prepare_image(pixels, prepare_);
      const auto ids = read_labels(labels, image);
      const auto tiles = data::cut_tiles(image, ids, tiling_);
      const auto first = writer_.add({name, image.size(1), image.size(2)}, tiles);
      return Dict{{"tiles", tiles.size()}, {"first", first}, {"instances", data::find_instances(ids).ids.size(0)}};
    } catch (Error& error) {  // names the file
      error.detail["source"] = name;
      throw Error(error.code, name + ": " + error.what(), error.detail);
    }
  }

  Value finish(Options& options) {
    options.done();
    const auto bytes = writer_.finish();
    return Dict{{"tiles", writer_.size()}, {"images", writer_.sources()}, {"bytes", bytes}, {"path", writer_.path()}};
  }

  data::PrepareOptions prepare_;
  data::TileOptions tiling_;
  data::StoreWriter writer_;
};

}  // namespace

std::unique_ptr<Session> open_store_writer(Options& options) {
  const auto path = options.require_text("path");
  const auto tiling = data::read_tile_options(options);
  const auto prepare = data::read_prepare_options(options);
  options.done();
  data::Settings settings = {{"tile_size", std::to_string(tiling.tile_size)},
                             {"overlap", std::to_string(tiling.overlap)},
                             {"min_fragment_area", std::to_string(tiling.min_fragment_area)}};
  settings.merge(data::describe(prepare));
  return std::make_unique<StoreWriterSession>(prepare, tiling, path, std::move(settings));
}

}  // namespace cellsam::engine
