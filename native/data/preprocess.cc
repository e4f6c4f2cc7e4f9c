#include "data/preprocess.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/upload.h"
#include "data/quantiles.h"
#include "engine.h"

namespace cellsam::data {
namespace {

// Constants of the channels [1,3,1,1] on the host. SAM's mean and deviation are for values in 0..255, ImageNet's for 0..1.
at::Tensor constants(float red, float green, float blue) { return at::tensor({red, green, blue}).view({1, 3, 1, 1}); }
at::Tensor sam_mean() { return constants(123.675F, 116.28F, 103.53F); }
at::Tensor sam_std() { return constants(58.395F, 57.12F, 57.375F); }

at::Tensor standardized(const at::Tensor& images, const at::Tensor& mean, const at::Tensor& deviation) {
  return (images - upload(mean, images.device())) / upload(deviation, images.device());
}

at::Tensor imagenet_normalize(const at::Tensor& images) {
  return standardized(images, constants(.485F, .456F, .406F), constants(.229F, .224F, .225F));
}

// Scales each channel of each image to 0..1.
at::Tensor stretch_channels(const at::Tensor& images) {
  const auto low = images.amin({2, 3}, true), high = images.amax({2, 3}, true);
  return (images - low) / (high - low + 1e-6);
}

// Copies the blue channel to an empty green one, then the green one to an empty blue one, so that both show the cells.
at::Tensor fill_empty_channels(const at::Tensor& images) {
  const auto red = images.slice(1, 0, 1);
  auto green = images.slice(1, 1, 2), blue = images.slice(1, 2, 3);
  green = at::where(green.amax({2, 3}, true) == 0, blue, green);
  blue = at::where(blue.amax({2, 3}, true) == 0, green, blue);
  return at::cat({red, green, blue}, 1);
}

at::Tensor encoder_from_resized(const at::Tensor& resized, Preprocessing preprocessing) {
  auto images = rescale_percentile(resized);
  if (preprocessing == Preprocessing::Adv) images = stretch_channels(imagenet_normalize(images));
  return standardized(images, sam_mean() / 255, sam_std() / 255);
}

at::Tensor detector_from_resized(const at::Tensor& resized, Preprocessing preprocessing) {
  const auto images = standardized((resized * 255).trunc(), sam_mean(), sam_std());
  if (preprocessing == Preprocessing::Plain) return images;
  return fill_empty_channels(stretch_channels(imagenet_normalize(images)));
}

}  // namespace

Preprocessing parse_preprocessing(const std::string& text) {
  if (text == "plain") return Preprocessing::Plain;
  if (text == "adv") return Preprocessing::Adv;
  throw Error("ERR_INVALID_ARGUMENT", "generation must be \"plain\" or \"adv\", got \"" + text + "\"");
}

at::Tensor resize_tiles(const at::Tensor& tiles, std::int64_t image_size) {
  if (tiles.dim() != 4 || tiles.size(1) != 3) throw Error("ERR_INVALID_ARGUMENT", "tiles must be [B,3,h,w]");
  const auto images = tiles.scalar_type() == at::kByte ? tiles.to(at::kFloat) / 255 : tiles.to(at::kFloat);
  return at::_upsample_bilinear2d_aa(images, {image_size, image_size}, false);
}

at::Tensor rescale_percentile(const at::Tensor& images, double upper) {
  const auto quantiles = nonzero_quantiles(images, upper).view({2, -1, 1, 1, 1});
  const auto low = quantiles.select(0, 0), high = quantiles.select(0, 1);
  const auto inside = at::minimum(at::maximum(images, low), high);
  return at::where(high > low, (inside - low) / (high - low), images);
}

at::Tensor resize_longest_side(const at::Tensor& image, std::int64_t size) {
  const auto height = image.size(1), width = image.size(2);
  const double scale = static_cast<double>(size) / static_cast<double>(std::max(height, width));
  const auto side = [scale](std::int64_t length) {
    return static_cast<std::int64_t>(static_cast<double>(length) * scale + 0.5);
  };
  const auto resized = at::_upsample_bilinear2d_aa(image.unsqueeze(0).to(at::kFloat), {side(height), side(width)}, false);
  return (resized + 0.5).clamp(0, 255).to(at::kByte).squeeze(0);
}

at::Tensor encoder_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing) {
  return encoder_from_resized(resize_tiles(tiles, image_size), preprocessing);
}

at::Tensor detector_input(const at::Tensor& tiles, std::int64_t image_size, Preprocessing preprocessing) {
  return detector_from_resized(resize_tiles(tiles, image_size), preprocessing);
}

}  // namespace cellsam::data
