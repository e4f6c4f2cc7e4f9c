// From u8 tiles to the inputs of the two networks, as the official CellSAM makes them. Runs on the device of the tiles without
// waiting for it. Every statistic is of one image, so that a batch gives the same as its images one by one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace cellsam::data {

// The released weights without `model_cp` (Plain) and with it (Adv) expect different inputs. Users know this as `generation`.
enum class Preprocessing { Plain, Adv };

// Reads "plain" or "adv"; throws ERR_INVALID_ARGUMENT otherwise.
Preprocessing parse_preprocessing(const std::string& text);

// Tiles [B,3,h,w], u8 (0..255) or float (0..1) -> f32 [B,3,S,S] in 0..1:
// bilinear, antialiased, without keeping the aspect ratio.
at::Tensor resize_tiles(const at::Tensor& tiles, std::int64_t image_size);

// f32 [B,3,H,W] -> the same shape: each image is clipped to the 0 and `upper` quantiles of its non-zero values (all channels
// together, linear interpolation) and scaled to 0..1. An image without non-zero values stays zero, and one with a single
// non-zero value stays as it is.
at::Tensor rescale_percentile(const at::Tensor& images, double upper = 0.995);

// u8 [3,H,W] -> u8 [3,h,w] with a longer side of `size`: SAM's own resize, bilinear and antialiased. Differs by at most 1 from
// Pillow's, which SAM uses.
at::Tensor resize_longest_side(const at::Tensor& image, std::int64_t size);

// The input of SAM's image encoder f32 [B,3,S,S], from tiles as in resize_tiles.
at::Tensor encoder_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing);

// The input of CellFinder f32 [B,3,S,S], from tiles as in resize_tiles.
at::Tensor detector_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing);

}  // namespace cellsam::data
