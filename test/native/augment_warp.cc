// The complex augmentations: geometry by hand, agreement of image and labels, what brightness and gamma do not change, draws
// and streams. With arguments it applies one augmentation to raw files instead, for comparisons with SciPy:
//   smooth FILE H W SIGMA                       f32 plane -> smoothed f32 plane on stdout
//   affine FILE H W SCALE_Y SCALE_X SHEAR_Y SHEAR_X SHIFT_Y SHIFT_X   u8 [3,H,W] then i32 [H,W] -> the same, warped
//   move FILE H W                               u8 [3,H,W], i32 [H,W], f32 down [H,W], f32 right [H,W] -> image and labels
//   field FILE H W SEED                         -> f32 down and right of one drawn displacement (FILE is not read)
#include <ATen/ATen.h>

#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#include "augment/affine.h"
#include "augment/brightness.h"
#include "augment/elastic.h"
#include "augment/gamma.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::augment_warp_program {

using augment::Level;
using augment::Pixels;

namespace {

struct Files {
  Pixels pixels;
  augment::Displacement moves;
};

template <class T>
void take(std::ifstream& file, T* to, std::int64_t n) {
  file.read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(n * static_cast<std::int64_t>(sizeof(T))));
}

void put(const void* from, std::size_t bytes) { std::fwrite(from, 1, bytes, stdout); }

void put(const Pixels& pixels) {
  put(pixels.image.data_ptr(), pixels.image.nbytes());
  put(pixels.labels.data_ptr(), pixels.labels.nbytes());
}

int run(int argc, char** argv) {
  const std::string mode = argv[1];
  std::ifstream file(argv[2], std::ios::binary);
  const std::int64_t height = std::stoll(argv[3]), width = std::stoll(argv[4]), area = height * width;
  auto number = [&](int i) { return std::stod(argv[i]); };
  std::vector<float> plane(static_cast<std::size_t>(area));
  if (mode == "smooth") {
    take(file, plane.data(), area);
    augment::smooth(plane, height, width, number(5));
    put(plane.data(), plane.size() * 4);
    return 0;
  }
  if (mode == "field") {
    CounterRng rng{static_cast<std::uint64_t>(number(5))};
    const auto moves = augment::draw_displacement(height, width, rng);
    put(moves.down.data(), moves.down.size() * 4);
    put(moves.right.data(), moves.right.size() * 4);
    return 0;
  }
  const Pixels pixels{at::empty({3, height, width}, at::kByte), at::empty({height, width}, at::kInt), {}};
  take(file, pixels.image.data_ptr<std::uint8_t>(), 3 * area);
  take(file, pixels.labels.data_ptr<std::int32_t>(), area);
  if (mode == "affine" && argc == 11) {
    put(augment::apply(augment::Affine{number(5), number(6), number(7), number(8), number(9), number(10)}, pixels));
    return file ? 0 : 2;
  }
  augment::Displacement moves{plane, plane};
  take(file, moves.down.data(), area);
  take(file, moves.right.data(), area);
  put(augment::apply(moves, pixels));
  return file ? 0 : 2;
}

// Blobs with ids 1..9, an ignored corner, and an image that paints every label its own colour.
Pixels painted(std::int64_t side) {
  auto labels = at::zeros({side, side}, at::kInt);
  for (int id = 1; id <= 9; ++id) {
    const auto y = side * (1 + (id - 1) / 3 * 3) / 10, x = side * (1 + (id - 1) % 3 * 3) / 10;
    labels.narrow(0, y, side / 5).narrow(1, x, side / 5).fill_(id);
  }
  labels.narrow(0, side - side / 8, side / 8).narrow(1, side - side / 8, side / 8).fill_(-1);
  const auto colour = [&](int times) { return labels.mul(times).add(100).to(at::kByte); };
  return {at::stack({colour(15), colour(-7), colour(3)}), labels, at::ones({side, side}, at::kByte)};
}

// Where a deformation compresses, interpolation spreads over a few pixels of the result. A pixel without another label, or the
// outside, within five pixels must have the colour of its label.
bool colours_agree(const Pixels& pixels) {
  const auto labels = pixels.labels.to(at::kFloat).unsqueeze(0).unsqueeze(0);
  const auto highest = at::max_pool2d(labels, {11, 11}, {1, 1}, {5, 5}),
             lowest = -at::max_pool2d(-labels, {11, 11}, {1, 1}, {5, 5});
  // Pixels at the tile's edge may be interpolated with the outside of the source.
  const auto inside = at::constant_pad_nd(pixels.valid.slice(0, 1, -1).slice(1, 1, -1).to(at::kFloat), {1, 1, 1, 1}, 0);
  const auto outside = 1 - inside.unsqueeze(0).unsqueeze(0);
  const auto inner = (highest == lowest).logical_and(at::max_pool2d(outside, {11, 11}, {1, 1}, {5, 5}) == 0).squeeze();
  if (inner.sum().item<int>() < inner.numel() / 20) return false;  // or there is nothing to compare
  for (int c = 0; c < 3; ++c) {
    const auto expected = pixels.labels.mul(std::array{15, -7, 3}[c]).add(100).to(at::kByte);
    // A fold of the elastic deformation may bring a border from further away into one pixel: one in a thousand is accepted.
    const auto wrong = pixels.image[c].ne(expected).logical_and(inner).sum().item<int>();
    if (wrong > inner.sum().item<int>() / 1000) return false;
  }
  return true;
}

void check_agreement(test::Checks& checks) {
  const auto pixels = painted(160);
  bool agree = true, known = true, ignored = true, padded = true;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Pixels turned = pixels;
    for (std::size_t step = 0; step + 2 < augment::augmentations().size(); ++step) {  // all but brightness and gamma
      CounterRng rng{seed, step};
      turned = augment::augmentations()[step].apply(turned, rng);
    }
    agree = agree && colours_agree(turned);
    known = known && turned.labels.ge(-1).logical_and(turned.labels.le(9)).all().item<bool>();
    ignored = ignored && turned.labels.eq(-1).any().item<bool>();
    padded = padded && turned.labels.masked_select(turned.valid.eq(0)).eq(0).all().item<bool>();
  }
  checks.holds("image and labels still agree", agree);
  checks.holds("no new label appears, and none in the padding", known && padded);
  checks.holds("an ignored region stays one", ignored);
}

void check_affine(test::Checks& checks) {
  const auto pixels = painted(40);
  const auto same = augment::apply(augment::Affine{}, pixels);
  checks.holds("nothing to do", same.image.equal(pixels.image) && same.labels.equal(pixels.labels));
  const auto moved = augment::apply(augment::Affine{.shift_y = 0.1, .shift_x = -0.05}, pixels);  // 4 down, 2 to the left
  checks.holds("a shift by whole pixels",
               moved.labels.slice(0, 4, 40).slice(1, 0, 38).equal(pixels.labels.slice(0, 0, 36).slice(1, 2, 40)) &&
                   moved.image.slice(1, 4, 40).slice(2, 0, 38).equal(pixels.image.slice(1, 0, 36).slice(2, 2, 40)));
  checks.holds("pixels from outside are 0 and not valid",
               moved.labels.slice(0, 0, 4).eq(0).all().item<bool>() && moved.image.slice(2, 38, 40).eq(0).all().item<bool>() &&
                   moved.valid.slice(0, 0, 4).eq(0).all().item<bool>() && moved.valid.sum().item<int>() == 36 * 38);
  double lowest = 9, highest = -9, lean = 0, shift = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    CounterRng rng{7, i};
    const auto drawn = augment::draw_affine(rng);
    lowest = std::min({lowest, drawn.scale_y, drawn.scale_x});
    highest = std::max({highest, drawn.scale_y, drawn.scale_x});
    lean = std::max({lean, std::abs(drawn.shear_y), std::abs(drawn.shear_x)});
    shift = std::max({shift, std::abs(drawn.shift_y), std::abs(drawn.shift_x)});
  }
  checks.holds("scale fills 0.85..1.15", lowest >= 0.85 && lowest < 0.852 && highest <= 1.15 && highest > 1.148);
  checks.holds("shear fills -5..5 degrees, shift -0.08..0.08", lean <= 5 && lean > 4.95 && shift <= 0.08 && shift > 0.079);
}

void check_brightness(test::Checks& checks) {
  auto pixels = painted(32);
  pixels.image.select(0, 1).zero_();    // a channel without anything
  pixels.valid.slice(0, 0, 5).zero_();  // rows of padding
  pixels.image.slice(1, 0, 5).zero_();
  pixels.image.select(0, 2).slice(0, 10, 12).fill_(0);  // black, but no padding
  const auto lighter = augment::apply(augment::Brightness{0.1, 0.1}, pixels);
  checks.holds("D48: padding and empty channels stay 0",
               lighter.image.slice(1, 0, 5).eq(0).all().item<bool>() && lighter.image[1].eq(0).all().item<bool>());
  const auto inside = pixels.image.slice(1, 5, 32).to(at::kDouble);
  const auto expected = (inside * 1.1 + 25.5).clamp(0, 255).add(0.5).floor();
  const auto got = lighter.image.slice(1, 5, 32).to(at::kDouble);
  checks.holds("the rest is scaled, shifted, rounded and clipped", got[0].equal(expected[0]) && got[2].equal(expected[2]));
  checks.holds("labels and source do not change",
               lighter.labels.equal(pixels.labels) && pixels.image[0][20][0].item<int>() == 100);
  const auto dark = augment::apply(augment::Brightness{0, -0.1}, pixels).image[2][11][3].item<int>();
  checks.holds("nothing falls below 0", dark == 0);
  double reach = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    CounterRng rng{8, i};
    const auto drawn = augment::draw_brightness(rng);
    reach = std::max({reach, std::abs(drawn.contrast), std::abs(drawn.brightness)});
  }
  checks.holds("both fill -0.1..0.1", reach <= 0.1 && reach > 0.099);
}

void check_gamma(test::Checks& checks) {
  auto pixels = painted(32);
  pixels.image.select(0, 1).zero_();    // a channel without anything
  pixels.image.slice(1, 0, 5).zero_();  // rows of padding
  pixels.image[0][20][0] = 255;
  const auto before = pixels.image.clone();
  const auto changed = augment::apply(augment::Gamma{{1.3, 0.8, 0.75}}, pixels).image;
  const auto power = [&](const at::Tensor& channel, double gamma) {
    return channel.to(at::kDouble).div(255).pow(gamma).mul(255).add(0.5).floor().to(at::kByte);
  };
  checks.holds("each channel is raised to its own power",
               changed[0].equal(power(before[0], 1.3)) && changed[2].equal(power(before[2], 0.75)));
  checks.holds("black, white, padding and empty channels stay",
               changed[1].eq(0).all().item<bool>() && changed.slice(1, 0, 5).eq(0).all().item<bool>() &&
                   changed[0][20][0].item<int>() == 255 && pixels.image.equal(before));
  pixels.image.select(0, 2).copy_(pixels.image[0]);
  const auto grey = augment::apply(augment::Gamma{{1.3, 0.8, 0.75}}, pixels).image;
  checks.holds("a grey image stays grey", grey[0].equal(changed[0]) && grey[2].equal(grey[0]) && grey[1].equal(changed[1]));
  double lowest = 9, highest = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    CounterRng rng{9, i};
    for (const double drawn : augment::draw_gamma(rng).of_channel)
      lowest = std::min(lowest, drawn), highest = std::max(highest, drawn);
  }
  checks.near("gamma falls to exp(-0.3)", lowest, std::exp(-0.3), 0.001);
  checks.near("and rises to exp(0.3)", highest, std::exp(0.3), 0.002);
}

void check_streams(test::Checks& checks) {
  const auto pixels = painted(48);
  constexpr std::uint64_t kSamples = 24;
  auto tile = [&](std::uint64_t sample) {
    return augment::augmenter(5, 2, Level::Complex)(pixels.image, pixels.labels, {3, 0, 45, 48}, sample);
  };
  std::vector<std::pair<at::Tensor, at::Tensor>> forwards(kSamples), threaded(kSamples);
  for (std::uint64_t i = 0; i < kSamples; ++i) forwards[i] = tile(i);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = kSamples; i-- > 0;) {
        if (i % 3 == t) threaded[i] = tile(i);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  bool same = true;
  std::set<std::int64_t> sums;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    same = same && forwards[i].first.equal(threaded[i].first) && forwards[i].second.equal(threaded[i].second);
    sums.insert(forwards[i].first.sum().item<std::int64_t>());
  }
  checks.holds("the same pixels in any order and on any number of threads", same);
  checks.holds("each sample has draws of its own", sums.size() > kSamples / 2);
  bool unchanged = true;
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto simple = augment::augment(pixels, 1, 1, i), plain = augment::augment({pixels.image, pixels.labels, {}}, 1, 1, i);
    unchanged = unchanged && simple.image.equal(plain.image) && simple.valid.sum().item<int>() == 48 * 48;
  }
  checks.holds("the simple level only flips and turns", unchanged);
  // How often each augmentation changes a tile.
  int affine = 0, elastic = 0, brightness = 0, gamma = 0;
  constexpr int kDraws = 400;
  for (int i = 0; i < kDraws; ++i) {
    int* const counts[] = {nullptr, &affine, &elastic, &brightness, &gamma};
    for (std::size_t step = 1; step < 5; ++step) {
      CounterRng rng{11, static_cast<std::uint64_t>(i), step};
      *counts[step] += augment::augmentations()[step].apply(pixels, rng).image.equal(pixels.image) ? 0 : 1;
    }
  }
  checks.near("affine in 3 of 4", std::abs(affine / double(kDraws) - 0.75), 0.07);  // 3 standard deviations
  checks.near("elastic in 2 of 5", std::abs(elastic / double(kDraws) - 0.4), 0.075);
  checks.near("brightness in 3 of 5", std::abs(brightness / double(kDraws) - 0.6), 0.075);
  checks.near("gamma in 3 of 5", std::abs(gamma / double(kDraws) - 0.6), 0.075);
}

void check_elastic(test::Checks& checks) {
  CounterRng rng{3};
  const auto drawn = augment::draw_displacement(256, 256, rng);
  double sum = 0, squares = 0;
  for (auto move : drawn.down) sum += move, squares += move * move;
  const auto n = static_cast<double>(drawn.down.size());
  // White noise under a Gaussian of width s keeps a standard deviation of 1 / (2 s sqrt(pi)): 120 times that are 4.03 pixels;
  // a field of 256 x 256 holds about 290 independent patches, and the mirrored edges move a little more.
  checks.near("moves of four pixels", std::abs(std::sqrt(squares / n) - 4.03), 0.6);
  checks.near("without drift", std::abs(sum / n), 0.9);
  for (std::int64_t side : {1, 3}) {
    CounterRng small{4};
    const auto tiny = augment::draw_displacement(side, side, small);
    checks.holds("a plane smaller than the filter", std::isfinite(tiny.right.back()));
  }
}

}  // namespace

TEST_PROGRAM(augment_warp) {
  if (argc > 4) return run(argc, argv);
  test::Checks checks("augment_warp");
  check_affine(checks);
  check_agreement(checks);
  check_brightness(checks);
  check_gamma(checks);
  check_elastic(checks);
  check_streams(checks);
  return checks.finish();
}

}  // namespace cellsam::test::augment_warp_program
