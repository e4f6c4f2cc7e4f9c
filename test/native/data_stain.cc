// Stains and channel rules: degenerate images, invalid ones, order of the steps. With the arguments
// `prepare u8|u16 FILE HEIGHT WIDTH CHANNELS name=value...` it prepares raw pixels with these options and writes the u8 [3,H,W]
// result to stdout, for a comparison with scikit-image.
#include <ATen/ATen.h>

#include <fstream>

#include "base/tensors.h"
#include "data/normalize.h"
#include "data/prepare_options.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::data_stain_program {

namespace {

data::PrepareOptions read(Dict settings) {
  Options options(settings, "prepare");
  const auto prepare = data::read_prepare_options(options);
  options.done();
  return prepare;
}

Value value_of(const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return end != text.c_str() && *end == '\0' ? Value(number) : Value(text);
}

int prepare_file(int argc, char** argv) {
  const bool deep = std::string(argv[2]) == "u16";
  const std::vector<std::int64_t> shape = {std::stoll(argv[4]), std::stoll(argv[5]), std::stoll(argv[6])};
  auto pixels = std::make_shared<std::vector<char>>(shape[0] * shape[1] * shape[2] * (deep ? 2 : 1));
  std::ifstream file(argv[3], std::ios::binary);
  if (!file.read(pixels->data(), static_cast<std::streamsize>(pixels->size()))) return 2;
  Dict settings;
  for (int i = 7; i < argc; ++i) {
    const std::string setting = argv[i];
    const auto split = setting.find('=');
    settings[setting.substr(0, split)] = value_of(setting.substr(split + 1));
  }
  const auto prepared = data::prepare_image({deep ? Dtype::u16 : Dtype::u8, shape, pixels->data(), pixels}, read(settings));
  const auto bytes = static_cast<std::size_t>(prepared.numel());
  return std::fwrite(prepared.data_ptr(), 1, bytes, stdout) == bytes ? 0 : 2;
}

// [H,W,3] of one colour.
at::Tensor even(int red, int green, int blue) {
  return at::tensor({red, green, blue}, at::kByte).view({1, 1, 3}).expand({6, 5, 3}).contiguous();
}

at::Tensor prepare(const at::Tensor& image, Dict settings) {
  settings.try_emplace("normalize", false);
  return data::prepare_image(to_array(image), read(std::move(settings)));
}

bool all(const at::Tensor& plane, int level) { return plane.eq(level).all().item<bool>(); }

void check_stains(test::Checks& checks) {
  const Dict on = {{"stain_transform", true}, {"eosin", 0.5}};
  const auto white = prepare(even(255, 255, 255), on);
  checks.holds("white contains no stain", all(white, 0));
  const auto inverted = prepare(even(255, 255, 255), {{"stain_transform", true}, {"inversion", true}});
  checks.holds("inverted white is full of both", all(inverted[0], 0) && all(inverted[1], 255) && all(inverted[2], 255));
  // Instead of ln 0, ln 1e-6: absorbance (1, 1, 1), whose amounts are 1.2102, -0.3534, 0.8820 (numpy).
  const auto black = prepare(even(0, 0, 0), {{"stain_transform", true}, {"gamma", 1}});
  checks.holds("a constant image keeps its amounts, clipped to 0..1",
               all(black[0], 0) && all(black[1], 255) && all(black[2], 224));

  at::manual_seed(2);
  const auto noise = at::randint(256, {20, 30, 3}, at::kByte);
  const auto copy = noise.clone();
  const auto full = prepare(noise, {{"stain_transform", true}});
  const auto nuclei = prepare(noise, {{"stain_transform", true}, {"only_nuclei", true}});
  checks.holds("D49: the caller's image does not change", noise.equal(copy));
  checks.holds("only nuclei: blue is empty, green the same", all(nuclei[2], 0) && nuclei[1].equal(full[1]));
  checks.holds("both stains span 0..255",
               full[1].max().item<int>() == 255 && full[2].max().item<int>() == 255 && full[1].min().item<int>() == 0);
  const auto darker = prepare(noise, {{"stain_transform", true}, {"gamma", 2.4}});
  checks.holds("D67: gamma has an effect", darker[1].le(full[1]).all().item<bool>() && !darker[1].equal(full[1]));
  const auto equalised = prepare(noise, {{"stain_transform", true}, {"normalize", true}});
  auto levels = full.permute({1, 2, 0}).contiguous();
  checks.holds("normalize comes after the stains",
               equalised.equal(prepare(levels, {{"normalize", true}})) && !equalised.equal(full));
}

void check_channels(test::Checks& checks) {
  const auto ramp = at::arange(24, at::kByte).view({4, 6});
  const auto rgb = at::stack({ramp, ramp + 100, ramp + 200}, 2).contiguous();
  const auto both = prepare(rgb, {{"nuclear_channel", "red"}, {"whole_cell_channel", "green"}});
  checks.holds("nuclei to green, whole cells to blue", all(both[0], 0) && both[1].equal(ramp) && both[2].equal(ramp + 100));
  const auto alone = prepare(rgb, {{"nuclear_channel", "green"}});
  checks.holds("one channel alone is a grey image", all(alone[0], 0) && all(alone[1], 0) && alone[2].equal(ramp + 100));
  const auto everywhere = prepare(rgb, {{"whole_cell_channel", "red"}, {"grey_channel", "all"}});
  checks.holds("and follows grey_channel", everywhere[0].equal(ramp) && everywhere[1].equal(ramp) && everywhere[2].equal(ramp));
  const auto blue = prepare(rgb, {{"rgb_transform", true}});
  checks.holds("D49: rgb_transform keeps blue alone, the source stays",
               all(blue[0], 0) && all(blue[1], 0) && blue[2].equal(ramp + 200) && rgb.select(2, 0).equal(ramp));
  const auto grey = prepare(ramp, {{"rgb_transform", true}, {"grey_channel", "all"}});
  checks.holds("a grey image goes to blue", all(grey[0], 0) && all(grey[1], 0) && grey[2].equal(ramp));
}

void check_refused(test::Checks& checks) {
  auto refused = [&](const std::string& what, const std::string& code, const at::Tensor& image, Dict settings,
                     const std::string& word) {
    checks.throws(
        what, code, [&] { prepare(image, std::move(settings)); }, word);
  };
  const auto grey = at::zeros({4, 4}, at::kByte), two = at::zeros({4, 4, 2}, at::kByte);
  refused("stains of a grey image", "ERR_INVALID_IMAGE", grey, {{"stain_transform", true}}, "RGB");
  refused("stains of two channels", "ERR_INVALID_IMAGE", two, {{"stain_transform", true}}, "2 channels");
  refused("a named channel of a grey image", "ERR_INVALID_IMAGE", grey, {{"nuclear_channel", "red"}}, "nuclear_channel");
  refused("blue of two channels", "ERR_INVALID_IMAGE", two, {{"rgb_transform", true}}, "rgb_transform");
  refused("stains and blue", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"stain_transform", true}, {"rgb_transform", true}},
          "one of the three");
  refused("stains and channels", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"stain_transform", true}, {"nuclear_channel", "red"}},
          "one of the three");
  refused("gamma 0", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"stain_transform", true}, {"gamma", 0}}, "gamma");
  refused("negative eosin", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"stain_transform", true}, {"eosin", -1}}, "eosin");
  refused("no such channel", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"nuclear_channel", "pink"}}, "nuclear_channel");
  refused("an unknown option", "ERR_INVALID_ARGUMENT", even(1, 2, 3), {{"gama", 2}}, "gama");
}

}  // namespace

TEST_PROGRAM(data_stain) {
  if (argc > 6 && std::string(argv[1]) == "prepare") return prepare_file(argc, argv);
  test::Checks checks("data_stain");
  check_stains(checks);
  check_channels(checks);
  check_refused(checks);
  return checks.finish();
}

}  // namespace cellsam::test::data_stain_program
