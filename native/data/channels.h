// Which channels of a source image the networks see. CellSAM's image has nothing in red, nuclei in green and whole cells
// (membrane or cytoplasm) in blue; an image with one channel lies in blue.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace cellsam::data {

// Where a one-channel image goes: channel 2 alone, as CellSAM's own inference does, or all three.
enum class GreyChannel { Blue, All };

constexpr GreyChannel grey_channel_of(std::string_view name) { return name == "all" ? GreyChannel::All : GreyChannel::Blue; }

struct ChannelRule {
  // Channels (0 red, 1 green, 2 blue) of an RGB source that become green and blue, red becomes 0. One alone is a grey image and
  // goes where the rule for grey images says.
  std::optional<int> nuclear, whole_cell;
  bool rgb_to_blue = false;  // only the blue channel of an RGB source stays, a grey image goes to blue
};

// f64 [H,W,3] -> f64 [H,W,3]: `formatted` holds `channels` channels of the source in its last ones (format_image). Returns the
// argument itself when the rule asks for nothing. ERR_INVALID_IMAGE when the rule needs colours that the source does not have.
at::Tensor apply_channel_rule(const at::Tensor& formatted, std::int64_t channels, const ChannelRule& rule,
                              GreyChannel grey_channel);

}  // namespace cellsam::data
