// From the pixels of a file to the u8 image that every network input starts from. Training, validation and inference all call
// prepare_image, so that none of them can see an image the others would not, as happened in the Python module.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "data/channels.h"
#include "data/stain.h"
#include "engine.h"
#include "settings/pixels.h"

namespace cellsam::data {

// How 16-bit and float pixels become 0..255; u8 images are taken as they are.
enum class Intensity {
  Percentile,  // the 0.1 and 99.9 percentiles of the whole image (all channels together) -> 0 and 255, clipped
  Full,        // u16 / 257; float must lie in 0..1 and is multiplied by 255
};

constexpr Intensity intensity_of(std::string_view name) { return name == "full" ? Intensity::Full : Intensity::Percentile; }

struct PrepareOptions {
  bool normalize =
      setting::pixels::normalize.default_value;  // clip at the 99.9 percentile and equalise (CLAHE), each channel alone
  Intensity intensity = intensity_of(setting::pixels::intensity.default_value);
  GreyChannel grey_channel = grey_channel_of(setting::pixels::grey_channel.default_value);
  ChannelRule channels = {};
  std::optional<StainOptions> stain = {};  // of an RGB image; excludes a channel rule
};

// `image` as f64 [H,W,3]. Accepts [H,W], [H,W,C] and, when the last side is no channel count, [C,H,W], with C in 1..3; data
// goes to the LAST C channels, the others are zero (format_image_shape of the official code). ERR_INVALID_IMAGE otherwise.
at::Tensor format_image(const Array& image, GreyChannel grey_channel = GreyChannel::Blue);

// Clips each channel of f64 [H,W,3] at the 99.9 percentile of its non-zero values.
at::Tensor clip_percentile(const at::Tensor& image);

// clip_percentile, then each channel to 0..1 and CLAHE; a constant channel becomes zero. f64 [H,W,3] -> f64 [H,W,3] in 0..1.
at::Tensor normalize_channels(const at::Tensor& image);

// THE definition: u8 [3,H,W]. In this order: intensity rule, channels, stains (of the levels 0..255), normalize. Works on the
// whole source image, before padding and tiling. ERR_INVALID_IMAGE for a wrong shape, an empty image, NaN or infinite pixels,
// negative pixels, (Intensity::Full) float pixels above 1, or an image without the colours that stains or channels need.
at::Tensor prepare_image(const Array& image, const PrepareOptions& options);

}  // namespace cellsam::data
