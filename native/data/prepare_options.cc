#include "data/prepare_options.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace cellsam::data {
namespace {

constexpr std::array<std::string_view, 3> kChannelNames = {"red", "green", "blue"};

std::string text_of(bool flag) { return flag ? "true" : "false"; }

std::string text_of(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", number);
  return text.data();
}

std::optional<int> read_channel(Options& options, const setting::Optional<setting::Choice>& setting) {
  const auto name = options.read(setting);
  if (!name) return std::nullopt;
  return static_cast<int>(std::find(kChannelNames.begin(), kChannelNames.end(), *name) - kChannelNames.begin());
}

StainOptions read_stain_options(Options& options) {
  StainOptions read;
  read.inversion = options.read(setting::pixels::inversion);
  read.eosin = options.read(setting::pixels::eosin);
  read.dab = options.read(setting::pixels::dab);
  read.only_nuclei = options.read(setting::pixels::only_nuclei);
  read.gamma = options.read(setting::pixels::gamma);
  return read;
}

}  // namespace

PrepareOptions read_prepare_options(Options& options) {
  PrepareOptions read;
  read.normalize = options.read(setting::pixels::normalize);
  read.intensity = intensity_of(options.read(setting::pixels::intensity));
  read.grey_channel = grey_channel_of(options.read(setting::pixels::grey_channel));
  read.channels.nuclear = read_channel(options, setting::pixels::nuclear_channel);
  read.channels.whole_cell = read_channel(options, setting::pixels::whole_cell_channel);
  read.channels.rgb_to_blue = options.read(setting::pixels::rgb_transform);
  const bool wanted = options.read(setting::pixels::stain_transform);
  const auto stain = read_stain_options(options);
  if (wanted) read.stain = stain;
  const int rules = static_cast<int>(read.channels.nuclear || read.channels.whole_cell) +
                    static_cast<int>(read.channels.rgb_to_blue) + static_cast<int>(wanted);
  if (rules > 1) {
    throw Error("ERR_INVALID_ARGUMENT",
                "nuclear_channel and whole_cell_channel, rgb_transform, stain_transform: each needs the colours of the source, "
                "which another one replaces; give one of the three");
  }
  return read;
}

TileOptions read_tile_options(Options& options) {
  TileOptions read;
  read.tile_size = options.read(setting::tiling::tile_size);
  read.overlap = options.read(setting::tiling::overlap);
  read.min_fragment_area = options.read(setting::tiling::min_fragment_area);
  return read;
}

std::map<std::string, std::string> describe(const PrepareOptions& options) {
  std::map<std::string, std::string> text = {
      {"normalize", text_of(options.normalize)},
      {"intensity", options.intensity == Intensity::Full ? "full" : "percentile"},
      {"grey_channel", options.grey_channel == GreyChannel::All ? "all" : "blue"},
      {"rgb_transform", text_of(options.channels.rgb_to_blue)},
      {"stain_transform", text_of(options.stain.has_value())},
  };
  if (const auto& channel = options.channels.nuclear) text["nuclear_channel"] = std::string(kChannelNames.at(*channel));
  if (const auto& channel = options.channels.whole_cell) text["whole_cell_channel"] = std::string(kChannelNames.at(*channel));
  if (const auto& stain = options.stain) {
    text["inversion"] = text_of(stain->inversion);
    text["eosin"] = text_of(stain->eosin);
    text["dab"] = text_of(stain->dab);
    text["only_nuclei"] = text_of(stain->only_nuclei);
    text["gamma"] = text_of(stain->gamma);
  }
  return text;
}

}  // namespace cellsam::data
