// From source pixels to network inputs: intensity rules, invalid images, CLAHE, statistics of each image of a batch.
// With the arguments `equalize FILE HEIGHT WIDTH` it equalises raw doubles and writes them to stdout instead, for a
// comparison with scikit-image.
#include <ATen/ATen.h>

#include <cmath>
#include <fstream>

#include "base/tensors.h"
#include "data/clahe.h"
#include "data/normalize.h"
#include "data/preprocess.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::data_image_program {

using data::GreyChannel;
using data::Intensity;
using data::Preprocessing;

namespace {

constexpr data::PrepareOptions kRaw{.normalize = false, .intensity = Intensity::Percentile, .grey_channel = GreyChannel::Blue};
constexpr data::PrepareOptions kFull{.normalize = false, .intensity = Intensity::Full, .grey_channel = GreyChannel::All};

Array u16_array(std::vector<std::uint16_t> values, std::vector<std::int64_t> shape) {
  auto owner = std::make_shared<std::vector<std::uint16_t>>(std::move(values));
  return {Dtype::u16, std::move(shape), owner->data(), owner};
}

int at_pixel(const at::Tensor& image, int channel, int y, int x) { return image[channel][y][x].item<int>(); }

int equalize_file(char** argv) {
  const std::int64_t height = std::stoll(argv[3]), width = std::stoll(argv[4]);
  std::vector<double> pixels(height * width);
  std::ifstream file(argv[2], std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size() * 8))) return 2;
  data::equalize_adaptive(pixels.data(), height, width);
  return std::fwrite(pixels.data(), 8, pixels.size(), stdout) == pixels.size() ? 0 : 2;
}

void check_intensity(test::Checks& checks) {
  const auto ramp = at::arange(256, at::kByte).reshape({16, 16});
  const auto grey = data::prepare_image(to_array(ramp), kRaw);
  checks.holds("u8 goes to blue unchanged", grey[2].equal(ramp) && grey.slice(0, 0, 2).eq(0).all().item<bool>());
  const auto all = data::prepare_image(to_array(ramp), kFull);
  checks.holds("grey_channel all", all[0].equal(ramp) && all[1].equal(ramp) && all[2].equal(ramp));
  const auto rgb = at::stack({ramp, ramp.flip(0), ramp.t()}, 2).contiguous();
  checks.holds("RGB keeps its order", data::prepare_image(to_array(rgb), kRaw).permute({1, 2, 0}).equal(rgb));
  const auto two = data::prepare_image(to_array(rgb.slice(2, 0, 2)), kRaw);
  checks.holds("D44: two channels go last",
               two[0].eq(0).all().item<bool>() && two[1].equal(ramp) && two[2].equal(ramp.flip(0)));

  const auto full = data::prepare_image(u16_array({0, 257, 25700, 65535}, {2, 2}), kFull);
  checks.holds("D42: u16 full range: 257 to 1",
               at_pixel(full, 0, 0, 1) == 1 && at_pixel(full, 0, 1, 0) == 100 && at_pixel(full, 0, 1, 1) == 255);
  std::vector<std::uint16_t> deep(10001);
  for (std::size_t i = 0; i < deep.size(); ++i) deep[i] = static_cast<std::uint16_t>(20000 + i);
  const auto scaled = data::prepare_image(u16_array(deep, {1, 10001}), kRaw);
  // The 0.1 and 99.9 percentiles of 20000..30000 are 20010 and 29990, so 25000 lies half way.
  checks.holds("D42: u16 percentile: 20010 to 0, 29990 to 255",
               at_pixel(scaled, 2, 0, 10) == 0 && at_pixel(scaled, 2, 0, 11) == 0 && at_pixel(scaled, 2, 0, 30) == 1 &&
                   at_pixel(scaled, 2, 0, 5000) == 128 && at_pixel(scaled, 2, 0, 9990) == 255);
  // Defect D6 (8-bit overflow): a ramp must stay a ramp at any bit depth.
  const auto steps = scaled[2][0].to(at::kInt).diff();
  checks.holds("D6: a 16-bit ramp never falls", steps.ge(0).all().item<bool>() && steps.le(1).all().item<bool>());
  auto spots = std::vector<std::uint16_t>(10000, 100);
  spots[7] = 900;
  checks.holds("one bright spot on a constant background stays",
               at_pixel(data::prepare_image(u16_array(spots, {100, 100}), kRaw), 2, 0, 7) == 255);
  const auto unit = data::prepare_image(to_array(at::tensor({0.0F, 0.5F, 1.0F}).view({1, 3, 1})), kFull);
  checks.holds("float full: 0..1 to 0..255", at_pixel(unit, 0, 0, 1) == 128 && at_pixel(unit, 0, 0, 2) == 255);
}

void check_refused(test::Checks& checks) {
  auto refused = [&](const std::string& what, const at::Tensor& image, const data::PrepareOptions& options,
                     const std::string& word) {
    checks.throws(
        what, "ERR_INVALID_IMAGE", [&] { data::prepare_image(to_array(image), options); }, word);
  };
  auto pixels = at::rand({8, 8});
  pixels[3][3] = NAN;
  refused("NaN", pixels, kRaw, "NaN");
  pixels[3][3] = INFINITY;
  refused("infinity", pixels, kRaw, "infinite");
  pixels[3][3] = -0.25;
  refused("D42: negative float", pixels, kRaw, "negative");
  pixels[3][3] = 1.5;
  refused("float above 1 in full", pixels, kFull, "percentile");
  refused("D44: four channels", at::zeros({8, 8, 4}, at::kByte), kRaw, "3 channels");
  refused("one axis", at::zeros({8}, at::kByte), kRaw, "[8]");
  refused("empty", at::zeros({0, 8}, at::kByte), kRaw, "empty");
  refused("signed integers", at::zeros({8, 8}, at::kInt), kRaw, "u16");
}

void check_clahe(test::Checks& checks) {
  // The whole preparation of a ramp, which is equalised region by region and so need not rise everywhere.
  const auto ramp = at::arange(256, at::kByte).repeat({256, 1});
  const auto prepared = data::prepare_image(to_array(ramp), {})[2].to(at::kInt);
  checks.holds("an equalised ramp spans 0..255", prepared.min().item<int>() == 0 && prepared.max().item<int>() == 255);
  checks.near("and has no jump, as one with an overflow would", prepared.diff(1, 1).abs().max().item<double>(), 3);
  checks.holds("constant channels are zero",
               data::prepare_image(to_array(at::full({40, 30}, 77, at::kByte)), {}).eq(0).all().item<bool>());
  for (auto [height, width] : {std::pair(1, 1), std::pair(1, 300), std::pair(130, 2)}) {
    const auto tiny = data::prepare_image(to_array(at::randint(256, {height, width}, at::kByte)), {});
    checks.holds("size " + std::to_string(height) + "x" + std::to_string(width),
                 tiny.size(1) == height && tiny.size(2) == width);
  }
}

void check_batches(test::Checks& checks) {
  at::manual_seed(3);
  auto tiles = at::randint(256, {4, 3, 48, 40}, at::kByte);
  tiles.select(0, 1).select(0, 0).zero_();              // empty red
  tiles.select(0, 2).zero_();                           // an all-black image
  tiles.select(0, 3).fill_(0).select(0, 2).fill_(200);  // blue alone, one value
  for (auto preprocessing : {Preprocessing::Plain, Preprocessing::Adv}) {
    const auto encoder = data::encoder_input(tiles, 64, preprocessing),
               detector = data::detector_input(tiles, 64, preprocessing);
    for (std::int64_t i = 0; i < 4; ++i) {
      const auto alone = tiles.slice(0, i, i + 1);
      const std::string name = "image " + std::to_string(i) + (preprocessing == Preprocessing::Adv ? " adv" : " plain");
      checks.holds(name + " encoder", encoder[i].equal(data::encoder_input(alone, 64, preprocessing)[0]));
      checks.holds(name + " detector", detector[i].equal(data::detector_input(alone, 64, preprocessing)[0]));
      checks.holds(name + " is finite", encoder[i].isfinite().all().item<bool>() && detector[i].isfinite().all().item<bool>());
    }
  }
  const auto black = at::zeros({1, 3, 32, 32}, at::kByte);
  checks.holds("black stays zero", data::rescale_percentile(data::resize_tiles(black, 16)).eq(0).all().item<bool>());
  const auto adv = data::detector_input(tiles, 64, Preprocessing::Adv);
  checks.holds("detector adv is 0..1", adv.min().item<double>() >= 0 && adv.max().item<double>() <= 1);
  auto blue = at::zeros({1, 3, 32, 32}, at::kByte);
  blue.select(1, 2).copy_(at::randint(256, {1, 32, 32}, at::kByte));
  const auto copied = data::detector_input(blue, 32, Preprocessing::Adv)[0];
  checks.holds("blue is copied to an empty green",
               copied[1].equal(copied[2]) && copied[2].max().item<double>() > 0.9 && copied[0].eq(0).all().item<bool>());
  // By hand: non-zero values 1..200 of 200; quantile 0.995 lies at 1 + 0.995 * 199 = 199.005.
  const auto values = at::cat({at::zeros({55}), at::arange(1, 201).to(at::kFloat)}).view({1, 3, 5, 17});
  const auto rescaled = data::rescale_percentile(values).flatten();
  checks.near("rescale by hand", std::abs(rescaled[55 + 99].item<double>() - 99.0 / 198.005), 1e-6);
  checks.near("rescale clips", std::abs(rescaled[254].item<double>() - 1) + std::abs(rescaled[0].item<double>()), 0);
}

}  // namespace

TEST_PROGRAM(data_image) {
  if (argc == 5 && std::string(argv[1]) == "equalize") return equalize_file(argv);
  test::Checks checks("data_image");
  check_intensity(checks);
  check_refused(checks);
  check_clahe(checks);
  check_batches(checks);
  return checks.finish();
}

}  // namespace cellsam::test::data_image_program
