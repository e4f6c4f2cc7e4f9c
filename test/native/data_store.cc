// Tiling, instances, order of an epoch, and the tile store with damaged files.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "data/instances.h"
#include "data/sampler.h"
#include "data/store.h"
#include "data/tile.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::data_store_program {

namespace {

std::vector<data::Tile> tiles_of(std::int64_t height, std::int64_t width, const data::TileOptions& options) {
  const auto labels = at::arange(1, height * width + 1, at::kInt).reshape({height, width});
  return data::cut_tiles(labels.remainder(251).to(at::kByte).repeat({3, 1, 1}), labels, options);
}

void check_tiling(test::Checks& checks) {
  const std::vector<std::array<std::int64_t, 3>> counts = {// height, width, tiles
                                                           {512, 512, 1},
                                                           {513, 513, 4},
                                                           {600, 900, 6},
                                                           {1024, 1024, 9},
                                                           {300, 700, 2}};
  for (auto [height, width, n] : counts) {
    const auto tiles = tiles_of(height, width, {});
    const std::string name = std::to_string(height) + "x" + std::to_string(width);
    checks.holds(name + " tiles", static_cast<std::int64_t>(tiles.size()) == n);
    // Every pixel has its own label: each tile must show source pixel (y, x) where it belongs, and all pixels must be in some
    // tile.
    std::set<std::int32_t> seen;
    bool right = true;
    for (const auto& tile : tiles) {
      const auto part = tile.labels.slice(0, tile.valid.y, tile.valid.y + tile.valid.height)
                            .slice(1, tile.valid.x, tile.valid.x + tile.valid.width);
      const auto rows = at::arange(tile.valid.height).unsqueeze(1) + tile.y + tile.valid.y;
      const auto columns = at::arange(tile.valid.width).unsqueeze(0) + tile.x + tile.valid.x;
      right = right && part.numel() > 0 && part.equal((rows * width + columns + 1).to(at::kInt));
      right = right && tile.labels.count_nonzero().item<std::int64_t>() == part.numel();  // zeros in the padding
      right = right && tile.image[1].equal(tile.labels.remainder(251).to(at::kByte));
      const auto flat = part.contiguous();
      seen.insert(flat.data_ptr<std::int32_t>(), flat.data_ptr<std::int32_t>() + flat.numel());
    }
    checks.holds(name + " positions", right);
    checks.holds(name + " covers all", static_cast<std::int64_t>(seen.size()) == height * width);
  }
  checks.holds("half, rounded down, before", data::tile_starts(301, {}) == std::vector<std::int64_t>{-105});
  checks.holds("513: 383 of padding", data::tile_starts(513, {}) == std::vector<std::int64_t>{-191, 193});
  checks.throws("overlap 1", "ERR_INVALID_ARGUMENT", [] { data::tile_starts(9, {.overlap = 1}); });

  // Two tiles of 8 with stride 6 over 14 columns: id 1 is whole, id 2 has 1 column in the left tile and 3 in the right one.
  auto labels = at::zeros({8, 14}, at::kInt);
  labels.slice(0, 0, 2).slice(1, 0, 1).fill_(1);
  labels.slice(0, 4, 6).slice(1, 7, 10).fill_(2);
  const auto image = at::zeros({3, 8, 14}, at::kByte);
  const auto kept = data::cut_tiles(image, labels, {.tile_size = 8, .overlap = 0.25, .min_fragment_area = 0});
  checks.holds("fragments stay by default", kept[0].labels.eq(2).sum().item<int>() == 2);
  const auto dropped = data::cut_tiles(image, labels, {.tile_size = 8, .overlap = 0.25, .min_fragment_area = 3});
  checks.holds("a small fragment is dropped", dropped[0].labels.eq(2).sum().item<int>() == 0);
  checks.holds("a small whole instance is not", dropped[0].labels.eq(1).sum().item<int>() == 2);
  checks.holds("the larger piece stays", dropped[1].labels.eq(2).sum().item<int>() == 6);
  const auto unknown = at::where(labels.eq(2), at::full_like(labels, -1), labels);
  const auto ignoring = data::cut_tiles(image, unknown, {.tile_size = 8, .overlap = 0.25, .min_fragment_area = 3});
  checks.holds("an ignored region is no fragment", ignoring[0].labels.eq(-1).sum().item<int>() == 2);
}

void check_targets(test::Checks& checks) {
  at::manual_seed(5);
  const auto labels = (at::randint(0, 60, {40, 33}, at::kInt) * at::randint(0, 2, {40, 33}, at::kInt) * 1000);
  const auto found = data::find_instances(labels);
  bool boxes = true;
  for (std::int64_t i = 0; i < found.ids.size(0); ++i) {
    const auto mask = labels.eq(found.ids[i].item<int>());
    const auto places = mask.nonzero();
    const auto low = places.amin(0), high = places.amax(0) + 1;
    const auto expected = at::stack({low[1], low[0], high[1], high[0]}).to(at::kFloat);
    boxes = boxes && found.boxes[i].equal(expected);
  }
  std::set<int> ids;
  for (std::int64_t i = 0; i < labels.numel(); ++i) ids.insert(labels.flatten()[i].item<int>());
  ids.erase(0);
  checks.holds("every id once, ascending", found.ids.size(0) == static_cast<std::int64_t>(ids.size()) &&
                                               std::equal(ids.begin(), ids.end(), found.ids.data_ptr<std::int32_t>()));
  checks.holds("boxes as by brute force", boxes);
  auto single = at::zeros({10, 20}, at::kInt);
  single[4].slice(0, 3, 12).fill_(7);
  const auto box = data::find_instances(single).boxes;
  checks.holds("a 9-pixel-wide cell has width 9", box[0].equal(at::tensor({3.F, 4.F, 12.F, 5.F})));
  const auto normalized = data::to_normalized(box, 10, 20);
  checks.near("D24: normalised by the canvas",
              (normalized[0] - at::tensor({.375F, .45F, .45F, .1F})).abs().max().item<double>(), 1e-6);
  const auto none = data::find_instances(at::zeros({4, 4}, at::kInt));
  checks.holds("no cells", none.boxes.sizes() == at::IntArrayRef({0, 4}) && data::to_normalized(none.boxes, 4, 4).size(0) == 0);
}

void check_sampler(test::Checks& checks) {
  std::vector<std::int64_t> indices(101);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
  const auto order = data::epoch_order(indices, 42, 0, 1);
  checks.holds("same key, same order", order == data::epoch_order(indices, 42, 0, 1));
  for (auto other : {data::epoch_order(indices, 43, 0, 1), data::epoch_order(indices, 42, 1, 1),
                     data::epoch_order(indices, 42, 0, 2), data::epoch_order(indices, 42, 1, 0)}) {
    checks.holds("another key, another order", other != order);
  }
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  checks.holds("a permutation", sorted == indices && order != indices);
  const auto batches = data::in_batches(order, 8);
  checks.holds("the short batch is kept", batches.size() == 13 && batches.back().size() == 5 && batches[1][0] == order[8]);
  checks.holds("nothing to order", data::epoch_order({}, 1, 2, 3).empty() && data::in_batches({}, 4).empty());
  checks.throws("batch size 0", "ERR_INVALID_ARGUMENT", [&] { data::in_batches(order, 0); });
}

void write_byte(const std::string& path, std::int64_t offset, int change) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const int old = file.get();
  file.seekp(offset);
  file.put(static_cast<char>(old ^ change));
}

void check_store(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file("a.tiles");
  const data::TileOptions options{.tile_size = 30};
  // 300 instances of 2 pixels with ids up to 70000: 8- and 16-bit ids would merge some.
  auto labels = at::zeros({30, 30}, at::kInt);
  for (std::int64_t i = 0; i < 300; ++i) labels.view(-1).slice(0, 2 * i, 2 * i + 2).fill_(i < 299 ? i + 1 : 70000);
  const auto image = at::randint(256, {3, 30, 30}, at::kByte);
  const auto wide = tiles_of(30, 70, options);
  std::int64_t bytes = 0;
  {
    data::StoreWriter writer(path, 30, {{"normalize", "true"}});
    checks.holds("first source", writer.add({"one.tif", 30, 30}, data::cut_tiles(image, labels, options)) == 0);
    checks.holds("second source", writer.add({"zwei \xC3\xA4.tif", 30, 70}, wide) == 1);
    checks.holds("no file before finish", !std::filesystem::exists(path));
    bytes = writer.finish();
    checks.throws("nothing can be added after finish", "ERR_STATE", [&] { writer.add({"x", 1, 1}, {}); });
  }
  checks.holds("size and no other file",
               static_cast<std::int64_t>(std::filesystem::file_size(path)) == bytes && folder.files() == 1);
  { data::StoreWriter abandoned(folder.file("b.tiles"), 30, {}); }
  checks.holds("a writer that does not finish leaves no file", folder.files() == 1);

  data::Sample outlives;
  {
    const data::Store store(path);
    checks.holds("counts",
                 store.size() == 1 + static_cast<std::int64_t>(wide.size()) && store.sources() == 2 && store.tile_size() == 30);
    checks.holds("settings and names", store.settings().at("normalize") == "true" &&
                                           store.source_name(1) == "zwei \xC3\xA4.tif" && store.source(1).width == 70);
    outlives = store.sample(0);
    bool same = true;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      const auto sample = store.sample(static_cast<std::int64_t>(i) + 1);
      same = same && sample.image.equal(wide[i].image) && sample.labels.equal(wide[i].labels) && sample.source == 1 &&
             sample.y == wide[i].y && sample.x == wide[i].x && sample.valid.y == wide[i].valid.y &&
             sample.valid.x == wide[i].valid.x && sample.valid.height == wide[i].valid.height &&
             sample.valid.width == wide[i].valid.width;
    }
    checks.holds("tiles are read as they were written", same);
    checks.throws("index out of range", "ERR_INVALID_ARGUMENT", [&] { store.sample(store.size()); });
    std::vector<std::thread> readers;
    std::atomic<int> agreed = 0;
    for (int t = 0; t < 4; ++t) {
      readers.emplace_back([&] {
        for (int turn = 0; turn < 50; ++turn) agreed += store.sample(0).labels.equal(labels) ? 1 : 0;
      });
    }
    for (auto& reader : readers) reader.join();
    checks.holds("four readers at once", agreed == 200);
  }
  checks.holds("a sample outlives its store", outlives.image.equal(image) && outlives.labels.equal(labels));
  checks.holds("300 ids survive", data::find_instances(outlives.labels).ids.size(0) == 300);

  auto opens_and_reads_all = [&](const std::string& file) {
    const data::Store store(file);
    for (std::int64_t i = 0; i < store.size(); ++i) store.sample(i);
  };
  const auto broken = folder.file("broken.tiles");
  int missed = 0, tried = 0;
  for (std::int64_t offset = 0; offset < bytes; offset += offset < 64 || offset > bytes - 300 ? 1 : 37) {
    std::filesystem::copy_file(path, broken, std::filesystem::copy_options::overwrite_existing);
    write_byte(broken, offset, 1 << (offset % 8));
    ++tried;
    try {
      opens_and_reads_all(broken);
      ++missed;
    } catch (const Error& error) {
      if (error.code != "ERR_STORE_CORRUPT") ++missed;
    }
  }
  checks.near("flipped bytes not noticed, of " + std::to_string(tried), missed, 0);
  for (std::int64_t length : {std::int64_t{0}, std::int64_t{40}, std::int64_t{64}, bytes / 2, bytes - 1}) {
    std::filesystem::copy_file(path, broken, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(broken, static_cast<std::uintmax_t>(length));
    checks.throws("cut to " + std::to_string(length), "ERR_STORE_CORRUPT", [&] { opens_and_reads_all(broken); });
  }
  std::filesystem::copy_file(path, broken, std::filesystem::copy_options::overwrite_existing);
  write_byte(broken, 64 + 10, 1);
  checks.throws(
      "damage names the source", "ERR_STORE_CORRUPT", [&] { opens_and_reads_all(broken); }, "one.tif");
  checks.throws("no such file", "ERR_IO", [&] { data::Store store(folder.file("none")); });
  checks.throws("no such folder", "ERR_IO", [&] { data::StoreWriter writer(folder.file("none/x"), 30, {}); });
}

}  // namespace

TEST_PROGRAM(data_store) {
  test::Checks checks("data_store");
  check_tiling(checks);
  check_targets(checks);
  check_sampler(checks);
  check_store(checks);
  return checks.finish();
}

}  // namespace cellsam::test::data_store_program
