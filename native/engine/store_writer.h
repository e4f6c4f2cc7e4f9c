// The session of kind "store_writer": takes images and label maps from TypeScript one by one and writes a store of tiles.
#pragma once

#include <memory>

#include "base/options.h"
#include "engine.h"

namespace cellsam::engine {

// Options: path (required), tile_size = 512, overlap = 0.25, min_fragment_area = 0, and those of data::read_prepare_options.
// Reads them all and calls options.done().
//
// Commands of the session:
//   add    {image: [H,W] or [H,W,C] u8, u16, f32 or f64; labels?: i32, u8 or u16 [H,W]; source: name}
//          of labels, 0 is background, -1 marks ignored pixels, and cells count from 1
//          -> {tiles, first (index of the first one), instances (of the whole image)}
//   finish {} -> {tiles, images, bytes, path}; there is no file `path` before
// Errors: ERR_INVALID_IMAGE and ERR_INVALID_LABELS name the source in message and detail, and leave the store as it was;
// ERR_STATE after finish.
std::unique_ptr<Session> open_store_writer(Options& options);

}  // namespace cellsam::engine
