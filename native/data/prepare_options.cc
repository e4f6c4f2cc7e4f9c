#include "data/prepare_options.h"

#include <array>
#include <cstdio>

namespace cellsam::data {
namespace {

constexpr std::array kChannelNames = {"red", "green", "blue"};

std::string text_of(bool flag) { return flag ? "true" : "false"; }

std::string text_of(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", number);
  return text.data();
}

std::optional<int> read_channel(Options& options, const std::string& name) {
  const auto text = options.text(name, "");
  return text.empty() ? std::nullopt : std::optional(parse_channel(name, text));
}

}  // namespace

PrepareOptions read_prepare_options(Options& options) {
  PrepareOptions read;
  read.normalize = options.flag("normalize", read.normalize);
  read.intensity = parse_intensity(options.text("intensity", "percentile"));
  read.grey_channel = parse_grey_channel(options.text("grey_channel", "blue"));
  read.channels.nuclear = read_channel(options, "nuclear_channel");
  read.channels.whole_cell = read_channel(options, "whole_cell_channel");
  read.channels.rgb_to_blue = options.flag("rgb_transform", false);
  StainOptions stain;
  const bool wanted = options.flag("stain_transform", false);
  stain.inversion = options.flag("inversion", stain.inversion);
  stain.eosin = options.number("eosin", stain.eosin);
  stain.dab = options.number("dab", stain.dab);
  stain.only_nuclei = options.flag("only_nuclei", stain.only_nuclei);
  stain.gamma = options.number("gamma", stain.gamma);
  check_stain_options(stain);
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

std::map<std::string, std::string> describe(const PrepareOptions& options) {
  std::map<std::string, std::string> text = {
      {"normalize", text_of(options.normalize)},
      {"intensity", options.intensity == Intensity::Full ? "full" : "percentile"},
      {"grey_channel", options.grey_channel == GreyChannel::All ? "all" : "blue"},
      {"rgb_transform", text_of(options.channels.rgb_to_blue)},
      {"stain_transform", text_of(options.stain.has_value())},
  };
  if (const auto& channel = options.channels.nuclear) text["nuclear_channel"] = kChannelNames.at(*channel);
  if (const auto& channel = options.channels.whole_cell) text["whole_cell_channel"] = kChannelNames.at(*channel);
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
