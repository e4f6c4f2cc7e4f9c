#include "infer/options.h"

namespace cellsam::infer {
namespace {

void require(bool good, const std::string& rule) {
  if (!good) throw Error("ERR_INVALID_ARGUMENT", "inference options: " + rule);
}

OverlapRule parse_overlap(const std::string& text) {
  if (text == "score") return OverlapRule::Score;
  if (text == "official") return OverlapRule::Official;
  throw Error("ERR_INVALID_ARGUMENT", "inference options: overlap must be \"score\" or \"official\", not \"" + text + "\"");
}

bool is_share(double value) { return value >= 0 && value <= 1; }

}  // namespace

PredictOptions read_predict_options(Options& options) {
  PredictOptions read;
  read.bbox_threshold = options.number("bbox_threshold", read.bbox_threshold);
  read.adaptive_threshold = options.flag("adaptive_threshold", read.adaptive_threshold);
  read.nms_iou = options.number("nms_iou", read.nms_iou);
  read.iou_threshold = options.number("iou_threshold", read.iou_threshold);
  read.mask_threshold = options.number("mask_threshold", read.mask_threshold);
  read.min_area = options.integer("min_area", read.min_area);
  read.overlap = parse_overlap(options.text("overlap", "score"));
  read.min_visible = options.number("min_visible", read.min_visible);
  read.largest_piece = options.flag("largest_piece", read.largest_piece);
  read.remove_boundaries = options.flag("remove_boundaries", read.remove_boundaries);
  read.prompt_chunk = options.integer("prompt_chunk", read.prompt_chunk);
  read.factored_decoder = options.flag("factored_decoder", read.factored_decoder);
  read.tile_size = options.integer("tile_size", read.tile_size);
  read.tile_overlap = options.number("tile_overlap", read.tile_overlap);

  require(is_share(read.bbox_threshold), "bbox_threshold must lie in 0..1");
  require(is_share(read.nms_iou), "nms_iou must lie in 0..1 (1 = off)");
  require(is_share(read.mask_threshold), "mask_threshold must lie in 0..1");
  require(is_share(read.min_visible), "min_visible must lie in 0..1");
  require(read.min_area >= 0, "min_area must not be negative");
  require(read.prompt_chunk >= 1, "prompt_chunk must be at least 1");
  require(read.tile_size == 0 || read.tile_size >= 16, "tile_size must be 0 (no tiles) or at least 16 pixels");
  require(read.tile_overlap >= 0 && read.tile_overlap < 1, "tile_overlap must lie in 0..1, 1 excluded");
  return read;
}

}  // namespace cellsam::infer
