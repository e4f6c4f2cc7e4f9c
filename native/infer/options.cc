#include "infer/options.h"

namespace cellsam::infer {

PredictOptions read_predict_options(Options& options) {
  using namespace setting::inference;
  PredictOptions read;
  read.bbox_threshold = options.read(bbox_threshold);
  read.adaptive_threshold = options.read(adaptive_threshold);
  read.nms_iou = options.read(nms_iou);
  read.iou_threshold = options.read(iou_threshold);
  read.mask_threshold = options.read(mask_threshold);
  read.min_area = options.read(min_area);
  read.overlap = overlap_rule(options.read(overlap));
  read.min_visible = options.read(min_visible);
  read.largest_piece = options.read(largest_piece);
  read.remove_boundaries = options.read(remove_boundaries);
  read.prompt_chunk = options.read(prompt_chunk);
  read.factored_decoder = options.read(factored_decoder);
  read.tile_size = options.read(tile_size).value_or(0);
  read.tile_overlap = options.read(tile_overlap);
  read.tile_batch = options.read(tile_batch);
  return read;
}

}  // namespace cellsam::infer
