// From u8 tiles to the tensors that the two networks take as the official CellSAM feeds them. Runs on the tiles' own device and
// never waits for it; every statistic belongs to one image, so a batch gives what its images give one by one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace cellsam::data {

// Which weights the networks carry: the released ones without `model_cp` (Plain) or with it (Adv) expect different inputs.
enum class Preprocessing { Plain, Adv };

// "plain" or "adv"; anything else throws ERR_INVALID_ARGUMENT.
Preprocessing parse_preprocessing(const std::string& text);

// Tiles [B,3,h,w], u8 (0..255) or float (0..1), to f32 0..1 [B,3,S,S]: bilinear, antialiased, aspect ratio not kept.
at::Tensor resize_tiles(const at::Tensor& tiles, std::int64_t image_size);

// f32 [B,3,H,W]: each image clipped to the 0 and `upper` quantiles of its non-zero values (all channels together, linear
// interpolation), then mapped to 0..1. An image without non-zero values stays zero; one with a single non-zero value keeps
// its values.
at::Tensor rescale_percentile(const at::Tensor& images, double upper = 0.995);

// u8 [3,H,W] -> u8 [3,h,w] whose longer side is `size`, bilinear and antialiased: SAM's own resize, within 1 of Pillow's.
at::Tensor resize_longest_side(const at::Tensor& image, std::int64_t size);

// f32 [B,3,S,S]: what SAM's encoder takes, from tiles as in resize_tiles.
at::Tensor encoder_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing);

// f32 [B,3,S,S]: what CellFinder takes, from tiles as in resize_tiles.
at::Tensor detector_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing);

}  // namespace cellsam::data
