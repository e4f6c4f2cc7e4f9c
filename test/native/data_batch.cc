// Flips and turns against those of ATen, their random streams, and the loader's thread.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <map>
#include <mutex>

#include "augment/augmentations.h"
#include "augment/flip_rotate.h"
#include "data/batch.h"
#include "data/sampler.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::data_batch_program {

namespace {

// An image whose three channels are the bytes of the label map, so that any difference in geometry is seen.
augment::Pixels labelled(std::int64_t height, std::int64_t width) {
  const auto labels = at::arange(1, height * width + 1, at::kInt).reshape({height, width});
  const auto low = labels.remainder(256).to(at::kByte), high = labels.div(256, "floor").to(at::kByte);
  return {at::stack({low, high, low}), labels};
}

bool agree(const augment::Pixels& pixels) {
  const auto from_image = pixels.image[0].to(at::kInt) + pixels.image[1].to(at::kInt) * 256;
  return from_image.equal(pixels.labels) && pixels.image[2].equal(pixels.image[0]);
}

// All flips and turns of a plane, against ATen's.
void check_geometry(test::Checks& checks, std::int64_t height, std::int64_t width) {
  const auto pixels = labelled(height, width);
  const auto size = std::to_string(height) + "x" + std::to_string(width);
  for (int flips = 0; flips < 4; ++flips) {
    for (int turns = 0; turns < 4; ++turns) {
      const augment::FlipRotate transform{(flips & 1) != 0, (flips & 2) != 0, turns};
      const auto turned = augment::apply(transform, pixels);
      auto expected = pixels.labels;
      if (transform.flip_x) expected = expected.flip({1});
      if (transform.flip_y) expected = expected.flip({0});
      expected = expected.rot90(turns, {0, 1}).contiguous();
      checks.holds(size + ", flips " + std::to_string(flips) + ", turns " + std::to_string(turns),
                   turned.labels.equal(expected) && agree(turned));
    }
  }
  checks.holds(size + ": the argument does not change", pixels.labels[0][0].item<int>() == 1 && agree(pixels));
}

void check_streams(test::Checks& checks) {
  const auto pixels = labelled(6, 6);
  std::map<std::vector<std::int32_t>, int> elements;
  constexpr int kDraws = 4000;
  bool all_agree = true, pure = true;
  for (int sample = 0; sample < kDraws; ++sample) {
    const auto changed = augment::augment(pixels, 42, 3, sample);
    all_agree = all_agree && agree(changed);
    elements[{changed.labels.data_ptr<std::int32_t>(), changed.labels.data_ptr<std::int32_t>() + 36}]++;
  }
  for (int sample = 50; sample-- > 0;) {  // backwards, as the order must not matter
    pure = pure && augment::augment(pixels, 42, 3, sample)
                       .labels.equal(augment::augmenter(42, 3)(pixels.image, pixels.labels, {0, 0, 6, 6}, sample).second);
  }
  checks.holds("image and labels agree", all_agree);
  checks.holds("a pure function of its key", pure);
  checks.holds("all eight symmetries", elements.size() == 8);
  // Two random flips and a turn by an even number of quarters (6 of 8 draws) give the identity, the half turn and the two
  // mirror images equally often, 3/16 each; an odd number (2 of 8) gives the other four elements, 1/16 each.
  double worst = 0;
  for (const auto& [labels, count] : elements) {
    const double share = static_cast<double>(count) / kDraws;
    worst = std::max(worst, std::min(std::abs(share - 3.0 / 16), std::abs(share - 1.0 / 16)));
  }
  checks.near("frequencies of 3/16 and 1/16", worst, 0.02);  // 3 standard deviations: 0.0185
  int differ_epoch = 0, differ_seed = 0;
  for (int sample = 0; sample < 100; ++sample) {
    const auto base = augment::augment(pixels, 42, 3, sample).labels;
    differ_epoch += base.equal(augment::augment(pixels, 42, 4, sample).labels) ? 0 : 1;
    differ_seed += base.equal(augment::augment(pixels, 43, 3, sample).labels) ? 0 : 1;
  }
  checks.holds("epoch and seed change the draws", differ_epoch > 60 && differ_seed > 60);
}

void check_loader(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file("a.tiles");
  const data::TileOptions options{.tile_size = 16};
  data::StoreWriter writer(path, 16, {});
  for (int i = 0; i < 7; ++i) {
    auto labels = at::zeros({16, 16}, at::kInt);
    labels.slice(0, i, i + 3).slice(1, 2, 9).fill_(1000 + i);
    writer.add({"image " + std::to_string(i), 16, 16}, data::cut_tiles(at::full({3, 16, 16}, i, at::kByte), labels, options));
  }
  writer.finish();
  const auto store = std::make_shared<const data::Store>(path);
  const auto batches = data::in_batches(data::epoch_order({0, 1, 2, 3, 4, 5, 6}, 1, 0, 0), 3);

  for (const auto& [first, threads] : {std::pair{0, 1}, std::pair{2, 1}, std::pair{0, 2}, std::pair{0, 5}}) {
    data::BatchLoader loader(store, batches, augment::augmenter(9, 0), first, /*pinned=*/false, {}, threads);
    bool same = true;
    auto served = static_cast<std::size_t>(first);
    while (auto batch = loader.next()) {
      const auto plain = data::assemble(*store, batches[served], augment::augmenter(9, 0));
      same =
          same && batch->indices == batches[served] && batch->images.equal(plain.images) && batch->labels.equal(plain.labels);
      for (std::size_t i = 0; i < batch->indices.size(); ++i) {
        const auto index = batch->indices[i];
        const auto found = data::find_instances(batch->labels[static_cast<std::int64_t>(i)]);
        same = same && batch->instances[i].boxes.equal(found.boxes) && found.ids[0].item<std::int64_t>() == 1000 + index;
        same = same && batch->images[static_cast<std::int64_t>(i)].eq(index).all().item<bool>();
      }
      ++served;
    }
    const auto which = "loader from batch " + std::to_string(first) + ", " + std::to_string(threads) + " threads";
    checks.holds(which, same && served == batches.size() && !loader.next());
  }
  {  // a tile with padding at the complex level: the loader passes on which part is padding
    const auto padded_path = folder.file("b.tiles");
    data::StoreWriter padded(padded_path, 16, {});
    padded.add({"small", 8, 16}, data::cut_tiles(at::full({3, 8, 16}, 90, at::kByte), at::ones({8, 16}, at::kInt), options));
    padded.finish();
    const data::Store small(padded_path);
    bool dark = true, moved = false;
    for (std::uint64_t epoch = 0; epoch < 40; ++epoch) {
      const auto batch = data::assemble(small, {0}, augment::augmenter(3, epoch, augment::Level::Complex));
      const auto lit = batch.images.select(1, 0).ne(0).sum().item<int>(), cells = batch.labels.ne(0).sum().item<int>();
      dark = dark && lit <= 16 * 8 * 1.15 * 1.15 * 1.6;  // the most that scaling and interpolation at the edge can light up
      moved = moved || cells != 16 * 8;
    }
    checks.holds("D48: padding stays dark under the complex level", dark && moved);
  }
  const auto untouched = data::assemble(*store, {4});
  checks.holds("without augmentation", untouched.labels[0].equal(store->sample(4).labels));
  for (const int threads : {1, 3}) {
    data::BatchLoader loader(store, {{0}, {99}, {1}, {98}}, {}, 0, /*pinned=*/false, {}, threads);
    checks.holds("the batch before the error", loader.next().has_value());
    const auto next = [&] { loader.next(); };
    checks.throws("D47: the error of the first batch that fails reaches the consumer", "ERR_INVALID_ARGUMENT", next,
                  "no tile 99");
    checks.throws("also when asked again", "ERR_INVALID_ARGUMENT", next, "no tile 99");
  }
  for (int i = 0; i < 200; ++i) {
    data::BatchLoader loader(store, batches, {}, 0, /*pinned=*/false, {}, 1 + i % 3);
    for (int taken = 0; taken < i % 3; ++taken) loader.next();
  }
  checks.holds("200 loaders were destroyed early", true);
  checks.holds("no batches", !data::BatchLoader(store, {}).next().has_value());
}

// From the second batch on an augmentation that does not return before two threads are inside of it: with one it hangs.
void check_loader_threads(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file("a.tiles");
  data::StoreWriter writer(path, 16, {});
  const data::TileOptions options{.tile_size = 16};
  writer.add({"image", 16, 16}, data::cut_tiles(at::ones({3, 16, 16}, at::kByte), at::ones({16, 16}, at::kInt), options));
  writer.finish();
  const std::vector<std::vector<std::int64_t>> batches(9, {0});
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t calls = 0, inside = 0, most = 0;
  const data::Augmenter meeting = [&](const at::Tensor& image, const at::Tensor& labels, const data::Rect&, std::uint64_t) {
    std::unique_lock lock(mutex);
    const bool first = calls++ == 0;
    most = std::max(most, ++inside);
    changed.notify_all();
    changed.wait(lock, [&] { return first || most >= 2; });
    --inside;
    return std::pair(image, labels);
  };
  data::BatchLoader loader(std::make_shared<const data::Store>(path), batches, meeting, 0, /*pinned=*/false, {}, 2);
  std::size_t served = 0;
  while (loader.next()) ++served;
  checks.holds("a consumer that waits gets another thread, up to the number", served == batches.size() && most == 2);
}

}  // namespace

TEST_PROGRAM(data_batch) {
  test::Checks checks("data_batch");
  // Sides below, at and above the size of the blocks that the loops copy, with remainders at each edge.
  for (const auto side : {1, 5, 16, 64}) {
    for (const auto other : {7, 16, 33, 130}) {
      check_geometry(checks, side, other);
      check_geometry(checks, other, side);
    }
  }
  check_streams(checks);
  check_loader(checks);
  check_loader_threads(checks);
  return checks.finish();
}

}  // namespace cellsam::test::data_batch_program
