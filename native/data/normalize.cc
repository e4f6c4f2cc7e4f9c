#include "data/normalize.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "data/clahe.h"

namespace cellsam::data {
namespace {

constexpr double kClipPercentile = 99.9;                        // of non-zero values, before CLAHE
constexpr double kLowPercentile = 0.1, kHighPercentile = 99.9;  // Intensity::Percentile

[[noreturn]] void invalid(const std::string& message) { throw Error("ERR_INVALID_IMAGE", "image: " + message); }

// Percentile with linear interpolation, in the rounding of numpy, which interpolates from the nearer value. Reorders `values`.
template <class T>
double percentile(std::vector<T>& values, double percent) {
  const double position = static_cast<double>(values.size() - 1) * (percent / 100);
  const auto below = static_cast<std::size_t>(position);
  const double part = position - static_cast<double>(below);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[below];
  if (below + 1 == values.size()) return low;
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
}

struct Layout {
  std::int64_t height, width, channels;
  std::int64_t row_step, column_step, channel_step;  // in values
};

Layout layout_of(const Array& image) {
  std::string text;
  for (auto side : image.shape) text += (text.empty() ? "" : ",") + std::to_string(side);
  text = "[" + text + "]";
  const auto& shape = image.shape;
  if (shape.size() != 2 && shape.size() != 3) invalid("expected [H,W] or [H,W,C], got " + text);
  for (auto side : shape) {
    if (side < 1) invalid("is empty, shape " + text);
  }
  if (shape.size() == 2) return {shape[0], shape[1], 1, shape[1], 1, 1};
  if (shape[2] <= 3) return {shape[0], shape[1], shape[2], shape[1] * shape[2], shape[2], 1};
  if (shape[0] <= 3) return {shape[1], shape[2], shape[0], shape[2], 1, shape[1] * shape[2]};
  invalid("has more than 3 channels, shape " + text + "; choose the channels first");
}

// The image as [H,W,3] of type `To`, see format_image.
template <class To, class T>
at::Tensor place_channels(const T* values, const Layout& from, GreyChannel grey_channel) {
  at::Tensor formatted = at::zeros({from.height, from.width, 3}, c10::CppTypeToScalarType<To>::value);
  auto* to = formatted.data_ptr<To>();
  const bool replicate = from.channels == 1 && grey_channel == GreyChannel::All;
  const std::int64_t first = replicate ? 0 : 3 - from.channels;
  for (std::int64_t y = 0; y < from.height; ++y) {
    for (std::int64_t x = 0; x < from.width; ++x, to += 3) {
      const T* pixel = values + y * from.row_step + x * from.column_step;
      for (std::int64_t c = first; c < 3; ++c) {
        to[c] = static_cast<To>(replicate ? pixel[0] : pixel[(c - first) * from.channel_step]);
      }
    }
  }
  return formatted;
}

// Scales a 16-bit or float image to 0..255.
template <class T>
std::vector<double> to_range(const T* values, std::int64_t n, Intensity intensity) {
  std::vector<double> range(values, values + n);
  double lowest = range[0], highest = range[0];
  for (auto value : range) {
    if (!std::isfinite(value)) invalid("has NaN or infinite pixels");
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  if (lowest < 0) invalid("has negative pixels (lowest " + std::to_string(lowest) + ")");
  if (intensity == Intensity::Full) {
    constexpr bool is_u16 = std::is_same_v<T, std::uint16_t>;
    if (!is_u16 && highest > 1) {
      invalid("intensity \"full\" needs float pixels in 0..1, highest is " + std::to_string(highest) +
              "; use \"percentile\" or rescale the file");
    }
    for (auto& value : range) value = is_u16 ? value / 257 : value * 255;
    return range;
  }
  std::vector<double> sorted = range;
  double low = percentile(sorted, kLowPercentile), high = percentile(sorted, kHighPercentile);
  if (low == high) low = lowest, high = highest;  // a few bright spots on a constant background must not vanish
  for (auto& value : range) value = high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) * 255 : 0.0;
  return range;
}

// Calls `use` with the pixels in their own type.
template <class Use>
at::Tensor with_pixels(const Array& image, Use use) {
  switch (image.dtype) {
    case Dtype::u8: return use(static_cast<const std::uint8_t*>(image.data));
    case Dtype::u16: return use(static_cast<const std::uint16_t*>(image.data));
    case Dtype::f32: return use(static_cast<const float*>(image.data));
    case Dtype::f64: return use(static_cast<const double*>(image.data));
    default: invalid("pixels must be u8, u16, f32 or f64");
  }
}

// Calls `use` with a pointer to a channel of u8 or f64 [H,W,3], whose values are 3 elements apart. u8 images stay u8 as long as
// possible, since f64 takes 8 times the memory.
template <class Use>
auto with_channel(const at::Tensor& image, std::int64_t channel, Use use) {
  if (image.scalar_type() == at::kByte) return use(image.data_ptr<std::uint8_t>() + channel);
  return use(image.data_ptr<double>() + channel);
}

void set_channel(const at::Tensor& image, std::int64_t channel, const std::vector<double>& plane) {
  auto* to = image.data_ptr<double>() + channel;
  for (std::size_t i = 0; i < plane.size(); ++i) to[3 * i] = plane[i];
}

// A channel [H,W], clipped at the percentile of its non-zero values.
std::vector<double> clipped_plane(const at::Tensor& image, std::int64_t channel) {
  return with_channel(image, channel, [&](const auto* from) {
    std::vector<double> plane(image.size(0) * image.size(1));
    for (std::size_t i = 0; i < plane.size(); ++i) plane[i] = from[3 * i];
    std::vector<std::remove_cvref_t<decltype(*from)>> values;
    values.reserve(plane.size());
    for (std::size_t i = 0; i < plane.size(); ++i) {
      if (from[3 * i] != 0) values.push_back(from[3 * i]);
    }
    if (values.empty()) return plane;
    const double limit = percentile(values, kClipPercentile);
    for (auto& value : plane) value = std::min(value, limit);
    return plane;
  });
}

std::vector<double> normalized_plane(const at::Tensor& image, std::int64_t channel) {
  auto plane = clipped_plane(image, channel);
  const auto [lowest, highest] = std::minmax_element(plane.begin(), plane.end());
  const double low = *lowest, span = *highest - low;
  for (auto& value : plane) value = span > 0 ? (value - low) / span : 0.0;
  if (span > 0) equalize_adaptive(plane.data(), image.size(0), image.size(1));
  return plane;
}

}  // namespace

at::Tensor format_image(const Array& image, GreyChannel grey_channel) {
  const Layout layout = layout_of(image);
  return with_pixels(image, [&](const auto* pixels) { return place_channels<double>(pixels, layout, grey_channel); });
}

at::Tensor clip_percentile(const at::Tensor& image) {
  auto clipped = at::empty_like(image);
  for (std::int64_t channel = 0; channel < 3; ++channel) set_channel(clipped, channel, clipped_plane(image, channel));
  return clipped;
}

at::Tensor normalize_channels(const at::Tensor& image) {
  auto normalized = at::empty_like(image);
  for (std::int64_t channel = 0; channel < 3; ++channel) set_channel(normalized, channel, normalized_plane(image, channel));
  return normalized;
}

at::Tensor prepare_image(const Array& image, const PrepareOptions& options) {
  const Layout layout = layout_of(image);
  auto formatted = with_pixels(image, [&](const auto* pixels) {
    if (image.dtype == Dtype::u8) return place_channels<std::uint8_t>(pixels, layout, options.grey_channel);
    return place_channels<double>(to_range(pixels, image.numel(), options.intensity).data(), layout, options.grey_channel);
  });
  formatted = apply_channel_rule(formatted, layout.channels, options.channels, options.grey_channel);
  if (options.stain) {
    if (layout.channels != 3) {
      invalid("stain_transform needs an RGB image, but it has " + std::to_string(layout.channels) +
              (layout.channels == 1 ? " channel" : " channels") + "; set it to false for grey or fluorescence images");
    }
    formatted = separate_stains(formatted.to(at::kDouble), *options.stain);
  }

  // One channel at a time: as f64 it takes 8 times the memory.
  auto prepared = at::empty({3, layout.height, layout.width}, at::kByte);
  const std::int64_t area = layout.height * layout.width;
  for (std::int64_t c = 0; c < 3; ++c) {
    auto* to = prepared.data_ptr<std::uint8_t>() + c * area;
    auto level = [](double value) { return static_cast<std::uint8_t>(std::lround(value)); };
    if (options.normalize) {
      const auto plane = normalized_plane(formatted, c);
      for (std::int64_t i = 0; i < area; ++i) to[i] = level(plane[i] * 255);
    } else {
      with_channel(formatted, c, [&](const auto* from) {
        for (std::int64_t i = 0; i < area; ++i) to[i] = level(from[3 * i]);
      });
    }
  }
  return prepared;
}

}  // namespace cellsam::data
