// Case 05: three images from their bytes to the inputs of both networks, with every step of the official code.
#include <algorithm>

#include "base/tensors.h"
#include "data/normalize.h"
#include "data/preprocess.h"
#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::preprocess_program {

using data::Preprocessing;

namespace {

// The rule of the case for CLAHE: a grey value on the border of two histogram bins may fall into the other one.
void check_equalized(test::Case& parity, const std::string& name, const at::Tensor& got) {
  const auto expected = parity.io(name);
  const auto error = (got.to(at::kDouble) - expected).abs();
  parity.report(name + " worst", error.max().item<double>(), 0.01);
  const auto outside = error.gt(expected.abs().to(at::kDouble) * 1e-5 + 1e-5).to(at::kDouble).mean();
  parity.report(name + " outliers", outside.item<double>(), 0.001);
}

// Detector inputs: 0.0175 (one step of the 8-bit image) where the byte flipped, 1e-5 elsewhere.
void check_detector(test::Case& parity, const std::string& name, const at::Tensor& got, const at::Tensor& flipped) {
  const auto error = (got.to(at::kDouble) - parity.io(name)).abs();
  const double limit_at_flips = flipped.any().item<bool>() ? 0.0175 : 0.0;
  parity.report(name + " flipped", at::where(flipped, error, 0.0).max().item<double>(), limit_at_flips);
  parity.report(name, at::where(flipped, 0.0, error).max().item<double>(), 1e-5);
}

at::Tensor min_max(const at::Tensor& image, at::IntArrayRef axes, double epsilon) {
  const auto low = image.amin(axes, true), high = image.amax(axes, true);
  const auto span = high - low;
  return at::where(span > 0, (image - low) / (span + epsilon), image);
}

void check_image(test::Case& parity, const std::string& image, std::int64_t size) {
  const auto bytes = parity.io(image + ".u8_hwc");

  // Chain B: the raw bytes.
  const auto formatted = data::format_image(to_array(bytes));
  if (parity.has(image + ".percentile_99.9_u8scale_f32")) {
    parity.check(image + ".percentile_99.9_u8scale_f32", data::clip_percentile(formatted), test::Tolerance{1e-6, 1e-6, 0});
  }
  check_equalized(parity, image + ".direct_normalized_f32", data::normalize_channels(formatted));
  const auto prepared = data::prepare_image(to_array(bytes), {}).permute({1, 2, 0}).to(at::kDouble) / 255;
  parity.report(image + " prepare_image is chain B in 8 bits",
                (prepared - data::normalize_channels(formatted)).abs().max().item<double>(), 0.5 / 255 + 1e-9);

  // Chain A: stretched per channel first, in float32.
  const auto stretched = min_max(bytes.to(at::kFloat), {0, 1}, 0);
  parity.check(image + ".pipeline_minmax_f32", stretched, test::Tolerance{1e-6, 1e-6, 0});
  const auto clipped = data::clip_percentile(data::format_image(to_array(stretched)));
  parity.check(image + ".pipeline_percentile_f32", clipped, test::Tolerance{1e-6, 1e-6, 0});
  check_equalized(parity, image + ".chw_f32",
                  data::normalize_channels(data::format_image(to_array(stretched))).permute({2, 0, 1}));

  // The network inputs start from the case's own chw_f32.
  const auto tiles = parity.io(image + ".chw_f32").unsqueeze(0);
  const auto resized = data::resize_tiles(tiles, size);
  parity.check(image + ".resized", resized[0], test::Tolerance{1e-5, 2e-6, 0});
  const auto truncated = (resized[0] * 255).to(at::kByte);
  const auto change = truncated.to(at::kInt) - parity.io(image + ".det.u8_hwc").permute({2, 0, 1}).to(at::kInt);
  parity.report(image + ".det.u8_hwc worst", change.abs().max().item<int>(), 1);
  parity.report(image + ".det.u8_hwc flipped", change.ne(0).to(at::kDouble).mean().item<double>(), 0.005);
  const auto plain = data::detector_input(tiles, size, Preprocessing::Plain);
  check_detector(parity, image + ".det.input_plain", plain[0], change.ne(0));
  check_detector(parity, image + ".det.input_adv", data::detector_input(tiles, size, Preprocessing::Adv)[0], change.ne(0));
  // The official percentile option, off in its pipeline, exercises rescale_percentile on negative values too.
  if (parity.has(image + ".det.input_plain_percentile")) {
    const auto rescaled = data::rescale_percentile(plain) * 2 - 1;
    check_detector(parity, image + ".det.input_plain_percentile", rescaled[0], change.ne(0));
    const auto mean = at::tensor({.485, .456, .406}, at::kFloat).view({3, 1, 1});
    const auto deviation = at::tensor({.229, .224, .225}, at::kFloat).view({3, 1, 1});
    check_detector(parity, image + ".det.input_adv_percentile", min_max((rescaled[0] - mean) / deviation, {1, 2}, 1e-6),
                   change.ne(0));
  }

  const test::Tolerance encoder = parity.tolerance("enc");
  const auto rescaled = data::rescale_percentile(resized)[0];
  const auto low = parity.io(image + ".enc.percentiles_0_99.5").to(at::kFloat);
  parity.check(image + ".enc.percentiles_0_99.5", (resized[0].clamp(low[0], low[1]) - low[0]) / (low[1] - low[0]), rescaled,
               encoder);
  if (parity.has(image + ".enc.prep2_plain")) parity.check(image + ".enc.prep2_plain", rescaled, encoder);
  const auto adv = data::encoder_input(tiles, size, Preprocessing::Adv)[0];
  const auto mean = at::tensor({123.675, 116.28, 103.53}, at::kFloat).view({3, 1, 1}) / 255;
  const auto deviation = at::tensor({58.395, 57.12, 57.375}, at::kFloat).view({3, 1, 1}) / 255;
  parity.check(image + ".enc.prep2_adv", adv * deviation + mean, encoder);
  parity.check(image + ".enc.input_adv", adv, encoder);
  parity.check(image + ".enc.input_plain", data::encoder_input(tiles, size, Preprocessing::Plain)[0], encoder);

  // SAM's own resize of the bytes.
  const auto longest = data::resize_longest_side(bytes.permute({2, 0, 1}), size);
  parity.check(image + ".longest_side_u8", longest.permute({1, 2, 0}), test::Tolerance{0, 1, 0});
  const auto scale = at::tensor({static_cast<double>(longest.size(2)) / static_cast<double>(bytes.size(1)),
                                 static_cast<double>(longest.size(1)) / static_cast<double>(bytes.size(0))},
                                at::kDouble);
  parity.check(image + ".coords_resized", parity.io(image + ".coords") * scale, test::Tolerance{1e-12, 1e-12, 0});
}

void check_full_size(test::Case& parity, const std::string& name, const at::Tensor& got, double atol) {
  const auto expected = parity.io("full1024." + name + "_sub16");
  const auto step = got.size(1) / expected.size(1);
  const auto error = (got.slice(1, 0, INT64_MAX, step).slice(2, 0, INT64_MAX, step) - expected).abs();
  parity.report("full1024." + name + "_sub16 worst", error.max().item<double>(), atol);
  parity.report("full1024." + name + "_sub16 outliers", error.gt(1e-4).to(at::kDouble).mean().item<double>(), 0.005);
  const auto area = static_cast<double>(got.size(1) * got.size(2));
  parity.check("full1024." + name + "_sum / area", got.to(at::kDouble).sum({1, 2}) / area,
               parity.io("full1024." + name + "_sum") / area, 0, 1e-4);
}

}  // namespace

TEST_PROGRAM(preprocess) {
  return test::run_case(argc, argv, [](test::Case& parity) {
    for (const auto& name : parity.names("fmt.")) {
      if (name.substr(name.size() - 3) != ".in") continue;
      const auto item = name.substr(0, name.size() - 3);
      parity.check(item + ".out", data::format_image(to_array(parity.io(name))), test::Tolerance{});
    }
    const auto images = test::list(parity.info(), "images").size();
    for (std::size_t i = 0; i < images; ++i) check_image(parity, "img" + std::to_string(i), parity.config("img_size"));

    const auto tiles = parity.io("img2.chw_f32").unsqueeze(0);
    for (auto [preprocessing, suffix] : {std::pair(Preprocessing::Plain, "_plain"), std::pair(Preprocessing::Adv, "_adv")}) {
      check_full_size(parity, std::string("enc") + suffix, data::encoder_input(tiles, 1024, preprocessing)[0], 1e-4 * (1 + 3));
      check_full_size(parity, std::string("det") + suffix, data::detector_input(tiles, 1024, preprocessing)[0], 0.0175);
    }
  });
}

}  // namespace cellsam::test::preprocess_program
