// The list of augmentations, and the one place that knows how their random streams are keyed.
#include "augment/augment.h"
#include "augment/flip_rotate.h"

namespace cellsam::augment {
namespace {

// Keeps these streams apart from others (the sampler's) of the same seed and epoch.
constexpr std::uint64_t kStream = 0xa06;

Pixels flip_rotate(const Pixels& pixels, CounterRng& rng) { return apply(draw_flip_rotate(rng), pixels); }

}  // namespace

const std::vector<Step>& steps() {
  static const std::vector<Step> table = {{"flip_rotate", flip_rotate}};
  return table;
}

Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample) {
  Pixels changed = pixels;
  for (std::size_t i = 0; i < steps().size(); ++i) {
    CounterRng rng{kStream, seed, epoch, sample, i};
    changed = steps()[i].apply(changed, rng);
  }
  return changed;
}

Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch) {
  return [seed, epoch](const at::Tensor& image, const at::Tensor& labels, std::uint64_t sample) {
    auto changed = augment({image, labels}, seed, epoch, sample);
    return std::pair(std::move(changed.image), std::move(changed.labels));
  };
}

}  // namespace cellsam::augment
