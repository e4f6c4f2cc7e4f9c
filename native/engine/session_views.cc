// Commands on images that stay open for prompts.
#include "engine/model_session.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/tensors.h"
#include "engine/read_image.h"
#include "infer/bit_mask.h"
#include "infer/image_view.h"

namespace cellsam::engine {
namespace {

infer::ImagePrompt read_prompt(const Value& value) {
  Options options(value, "segment: a prompt");
  infer::ImagePrompt read;
  if (const auto* points = options.array("points")) {
    const auto places = to_tensor(*points).to(at::kDouble).contiguous();
    const auto labels = to_tensor(options.require_array("labels")).to(at::kInt).contiguous();
    if (places.dim() != 2 || places.size(1) != 2 || labels.dim() != 1 || labels.size(0) != places.size(0)) {
      throw Error("ERR_INVALID_ARGUMENT", "segment: points must be [k,2], with one label each");
    }
    for (std::int64_t i = 0; i < labels.size(0); ++i) {
      const auto* place = places.const_data_ptr<double>() + 2 * i;
      read.prompt.points.push_back({place[0], place[1], labels.const_data_ptr<std::int32_t>()[i] == 1});
    }
  }
  if (const auto* box = options.array("box")) {
    const auto sides = to_tensor(*box).to(at::kDouble).contiguous();
    if (sides.numel() != 4) throw Error("ERR_INVALID_ARGUMENT", "segment: a box has four sides");
    const auto* side = sides.const_data_ptr<double>();
    read.prompt.box = {side[0], side[1], side[2], side[3]};
  }
  if (const auto* mask = options.array("mask")) read.prompt.mask = to_tensor(*mask).to(at::kFloat);
  if (options.has("tile")) read.tile = static_cast<std::size_t>(options.require_integer("tile"));
  read.prompt.multimask = options.flag("multimask", false);
  options.done();
  if (read.prompt.points.empty() && !read.prompt.box && !read.tile) {
    throw Error("ERR_INVALID_ARGUMENT", "segment: a prompt needs points, a box, or a mask with its tile");
  }
  return read;
}

std::vector<infer::ImagePrompt> read_prompts(Options& options, const infer::TileGrid& grid) {
  const auto* list = options.list("prompts");
  if (list == nullptr) throw Error("ERR_INVALID_ARGUMENT", "segment: prompts are missing");
  std::vector<infer::ImagePrompt> prompts;
  for (const auto& value : *list) {
    const auto& prompt = prompts.emplace_back(read_prompt(value));
    if (prompt.tile && *prompt.tile >= grid.tiles.size()) {
      throw Error("ERR_INVALID_ARGUMENT", "segment: the mask is of a tile that this image does not have");
    }
  }
  return prompts;
}

infer::TrainedPrompts trained_prompts(const std::string& name) {
  if (name == "all") return infer::TrainedPrompts::All;
  if (name == "boxes") return infer::TrainedPrompts::Boxes;
  throw Error("ERR_INVALID_ARGUMENT", "embed: trained_prompts must be all or boxes, not " + name);
}

Value to_value(const infer::PromptedCell& cell) {
  const auto bits = infer::to_bits(cell.mask);
  const auto& window = bits.window;
  auto mask = at::empty({window.height, window.width}, at::kByte);
  std::copy(bits.bits.begin(), bits.bits.end(), mask.data_ptr<std::uint8_t>());
  return Dict{{"mask", to_array(mask)},
              {"bounds", List{window.x, window.y, window.right(), window.bottom()}},
              {"score", cell.iou},
              {"logits", to_array(cell.logits)},
              {"tile", cell.tile}};
}

}  // namespace

Value ModelSession::embed(Options& options, Control& control) {
  const auto number = options.require_integer("view");
  auto image = read_image(options);
  const auto most_tiles = options.integer("kept_tiles", 16);
  if (most_tiles < 1) throw Error("ERR_INVALID_ARGUMENT", "embed: kept_tiles must be at least 1");
  const auto trained = trained_prompts(options.text("trained_prompts", "all"));
  const auto predict_options = read_predict_options(options);
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  const auto view = std::make_shared<infer::ImageView>(model_, std::move(image), predict_options, trained,
                                                       static_cast<std::size_t>(most_tiles));
  infer::stop_if(cancelled_by(control));
  view->prepare();
  std::lock_guard lock(views_mutex_);
  views_[number] = view;
  return Dict{{"height", view->grid().height}, {"width", view->grid().width}};
}

Value ModelSession::segment(Options& options, Control& control) {
  const auto view = view_of(options);
  const auto prompts = read_prompts(options, view->grid());
  options.done();
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  List cells;
  for (const auto& cell : view->segment(prompts, cancelled_by(control), each_tile())) cells.push_back(to_value(cell));
  return cells;
}

Value ModelSession::detect(Options& options, Control& control) {
  const auto view = view_of(options);
  options.done();
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  const auto found = view->detect(cancelled_by(control), each_tile());
  return Dict{{"boxes", to_array(found.boxes)}, {"scores", to_array(found.scores)}};
}

Value ModelSession::release(Options& options, Control&) {
  const auto number = options.require_integer("view");
  options.done();
  std::lock_guard lock(views_mutex_);
  views_.erase(number);
  return {};
}

std::shared_ptr<infer::ImageView> ModelSession::view_of(Options& options) {
  const auto number = options.require_integer("view");
  std::lock_guard lock(views_mutex_);
  const auto found = views_.find(number);
  if (found != views_.end()) return found->second;
  throw Error("ERR_STATE", "the image is no longer embedded: it was disposed of, or the weights have changed; embed it again");
}

void ModelSession::forget_views() {
  std::lock_guard lock(views_mutex_);
  views_.clear();
}

}  // namespace cellsam::engine
