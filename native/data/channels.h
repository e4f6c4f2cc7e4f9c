// Which channels of a source image become which channels of the networks' input. CellSAM expects nothing in red, nuclei in
// green and whole cells (membrane or cytoplasm) in blue. An image with one channel goes to blue.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace cellsam::data {

// Where an image with one channel goes: to blue alone, as in CellSAM's own inference, or to all three channels.
enum class GreyChannel { Blue, All };

constexpr GreyChannel grey_channel_of(std::string_view name) { return name == "all" ? GreyChannel::All : GreyChannel::Blue; }

struct ChannelRule {
  // The channels (0 red, 1 green, 2 blue) of an RGB source that become green (nuclear) and blue (whole_cell); red becomes 0. If
  // only one is given, it is used as a grey image.
  std::optional<int> nuclear, whole_cell;
  bool rgb_to_blue = false;  // keeps only the blue channel of an RGB source; a grey image goes to blue
};

// [H,W,3] -> [H,W,3]. formatted: an image whose last `channels` channels are those of the source (format_image). Returns it as
// it is where the rule asks for nothing. Throws ERR_INVALID_IMAGE when the rule needs channels that the source does not have.
at::Tensor apply_channel_rule(const at::Tensor& formatted, std::int64_t channels, const ChannelRule& rule,
                              GreyChannel grey_channel);

}  // namespace cellsam::data
