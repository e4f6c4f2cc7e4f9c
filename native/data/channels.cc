#include "data/channels.h"

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::data {
namespace {

void require(bool holds, const std::string& option, const std::string& what, std::int64_t channels) {
  if (holds) return;
  throw Error("ERR_INVALID_IMAGE", "image: " + option + " needs " + what + ", but it has " + std::to_string(channels) +
                                       (channels == 1 ? " channel" : " channels") +
                                       "; switch the option off for images like this one");
}

}  // namespace

at::Tensor apply_channel_rule(const at::Tensor& formatted, std::int64_t channels, const ChannelRule& rule,
                              GreyChannel grey_channel) {
  auto chosen = formatted;
  if (rule.nuclear || rule.whole_cell) {
    require(channels == 3, rule.nuclear ? "nuclear_channel" : "whole_cell_channel", "an RGB image", channels);
    chosen = at::zeros_like(formatted);
    if (rule.nuclear && rule.whole_cell) {
      chosen.select(2, 1).copy_(formatted.select(2, *rule.nuclear));
      chosen.select(2, 2).copy_(formatted.select(2, *rule.whole_cell));
    } else {
      const auto only = formatted.select(2, rule.nuclear ? *rule.nuclear : *rule.whole_cell);
      for (int c = grey_channel == GreyChannel::All ? 0 : 2; c < 3; ++c) chosen.select(2, c).copy_(only);
    }
  }
  if (rule.rgb_to_blue) {
    require(channels != 2, "rgb_transform", "an RGB or grey image", channels);
    chosen = at::zeros_like(formatted);
    chosen.select(2, 2).copy_(formatted.select(2, 2));
  }
  return chosen;
}

}  // namespace cellsam::data
