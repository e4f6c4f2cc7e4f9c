// From the pixels of a file to the u8 image that every network input is made of. Training, validation and inference all call
// prepare_image, so that all of them see the same image.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "data/channels.h"
#include "data/stain.h"
#include "engine.h"
#include "settings/pixels.h"

namespace cellsam::data {

// How 16-bit and float pixels are scaled to 0..255. u8 images stay as they are.
enum class Intensity {
  Percentile,  // the 0.1 and 99.9 percentiles of the image, all channels together, become 0 and 255; clipped
  Full,        // u16 is divided by 257; float must lie in 0..1 and is multiplied by 255
};

constexpr Intensity intensity_of(std::string_view name) { return name == "full" ? Intensity::Full : Intensity::Percentile; }

struct PrepareOptions {
  bool normalize =
      setting::pixels::normalize.default_value;  // clip at the 99.9 percentile and equalise (CLAHE), each channel alone
  Intensity intensity = intensity_of(setting::pixels::intensity.default_value);
  GreyChannel grey_channel = grey_channel_of(setting::pixels::grey_channel.default_value);
  ChannelRule channels = {};
  std::optional<StainOptions> stain = {};  // for RGB images; not together with a channel rule
};

// `image` as f64 [H,W,3]. Accepts [H,W], [H,W,C] and, where the last side is above 3, [C,H,W], with C in 1..3. The data goes to
// the last C channels, the others are zero (format_image_shape of the official code). Throws ERR_INVALID_IMAGE otherwise.
at::Tensor format_image(const Array& image, GreyChannel grey_channel = GreyChannel::Blue);

// Clips each channel of f64 [H,W,3] at the 99.9 percentile of its non-zero values.
at::Tensor clip_percentile(const at::Tensor& image);

// f64 [H,W,3] -> f64 [H,W,3] in 0..1: clip_percentile, then each channel is scaled to 0..1 and equalised (clahe.h). A constant
// channel becomes zero.
at::Tensor normalize_channels(const at::Tensor& image);

// The whole preparation of a source image, before padding and tiling -> u8 [3,H,W]. In this order: intensity, channels, stains,
// normalize_channels. Throws ERR_INVALID_IMAGE for a wrong shape, an empty image, NaN, infinite or negative pixels, float
// pixels above 1 with Intensity::Full, and an image without the channels that the options need.
at::Tensor prepare_image(const Array& image, const PrepareOptions& options);

}  // namespace cellsam::data
