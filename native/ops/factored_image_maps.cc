#include <ATen/ATen.h>

#include "ops/factored_image_tokens.h"

namespace cellsam::ops {
namespace {

// The weight W [out,C] of a map that follows a norm, as one that acts on the norm's input up to its scale: W diag(gain) with
// the mean of each row subtracted, so that it gives W (gain * (x - mean(x))). W N in docs/math.md section 1.9.
at::Tensor behind_norm(const at::Tensor& weight, const Affine& norm) { return centred(weight * norm.weight); }

}  // namespace

std::vector<at::Tensor*> ImageMaps::all() {
  return {&key1,
          &value1,
          &query1,
          &out1,
          &out2,
          &out12,
          &key2,
          &value2,
          &query2,
          &key3,
          &value3,
          &up,
          &constant_product,
          &squared_length_1,
          &squared_length_2};
}

std::vector<ImageMaps> image_maps(const ImageTokenWeights& weights, const at::Tensor& images, const at::Tensor& position) {
  const auto &n1 = weights.norm1, &n2 = weights.norm2;
  const auto out1 = centred(weights.image_to_token_1.out.weight.t()), out2 = centred(weights.image_to_token_2.out.weight.t());
  const auto constant = centred(n1.bias + weights.image_to_token_2.out.bias).unsqueeze(0);
  const auto& first_bias = weights.image_to_token_1.out.bias;
  const auto behind_norm1 = [&](const at::Tensor& weight) { return behind_norm(weight, n1); };
  const auto behind_norm2 = [&](const at::Tensor& weight) { return behind_norm(behind_norm(weight, n2), n1); };

  // One product for all maps. Those from `out1` on act on the image with layer 1's output bias added.
  const std::vector<at::Tensor> plain{weights.token_to_image_1.key.weight, weights.token_to_image_1.value.weight,
                                      weights.image_to_token_1.query.weight};
  const std::vector<at::Tensor> biased{out1,
                                       behind_norm1(out2),
                                       behind_norm1(behind_norm1(out1)),
                                       behind_norm1(weights.token_to_image_2.key.weight),
                                       behind_norm1(weights.token_to_image_2.value.weight),
                                       behind_norm1(weights.image_to_token_2.query.weight),
                                       behind_norm2(weights.token_to_image_3.key.weight),
                                       behind_norm2(weights.token_to_image_3.value.weight),
                                       behind_norm2(weights.up.weight),
                                       behind_norm1(constant)};
  const auto late = at::cat(biased);
  const auto stack = at::cat({at::cat(plain), late});
  const auto inner = plain[0].size(0), heads = weights.heads;
  const auto shift =
      at::cat({at::zeros({2 * inner}, position.options()), weights.image_to_token_1.query.bias, at::mv(late, first_bias)});
  const auto positional = at::cat(
      {at::mm(plain[0], position), at::zeros({inner, position.size(1)}, position.options()), at::mm(plain[2], position)});

  std::vector<std::int64_t> sizes;
  for (const auto* group : {&plain, &biased}) {
    for (const auto& part : *group) sizes.push_back(part.size(0));
  }
  std::vector<ImageMaps> all;
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    const auto parts = at::split_with_sizes(at::addmm(shift.unsqueeze(1), stack, images[i]), sizes);
    const auto positions = positional.split(inner);
    const auto map = [&](std::size_t part) { return parts[part].view({heads, -1, parts[part].size(1)}); };
    const auto at_positions = [&](std::size_t part) {
      return (parts[part] + positions[part]).view({heads, -1, parts[part].size(1)});
    };
    const auto length = [](const at::Tensor& tokens) { return (tokens - tokens.mean(0, true)).square().sum(0); };
    const auto moved = images[i] + first_bias.unsqueeze(1);
    ImageMaps maps;
    maps.key1 = at_positions(0), maps.value1 = map(1), maps.query1 = at_positions(2);
    maps.out1 = map(3), maps.out2 = map(4), maps.out12 = map(5);
    maps.key2 = map(6), maps.value2 = map(7), maps.query2 = map(8);
    maps.key3 = map(9), maps.value3 = map(10), maps.up = parts[11], maps.constant_product = parts[12][0];
    maps.squared_length_1 = length(moved);
    maps.squared_length_2 = length((moved - moved.mean(0, true)) * n1.weight.unsqueeze(1));
    all.push_back(std::move(maps));
  }
  return all;
}

PositionMaps position_maps(const ImageTokenWeights& weights, const at::Tensor& position) {
  const auto map = [&](const at::Tensor& weight) {
    return at::mm(weight, position).view({weights.heads, -1, position.size(1)});
  };
  return {map(weights.token_to_image_2.key.weight), map(weights.image_to_token_2.query.weight),
          map(weights.token_to_image_3.key.weight)};
}

}  // namespace cellsam::ops
