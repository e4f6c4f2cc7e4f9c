// The session of kind "store_writer", used as TypeScript does.
#include <ATen/ATen.h>

#include "base/tensors.h"
#include "data/instances.h"
#include "data/store.h"
#include "engine/store_writer.h"
#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"
#include "native/quiet.h"

namespace cellsam::test::data_session_program {

namespace {

double number(const Value& result, const std::string& name) { return *result.as<Dict>()->at(name).as<double>(); }

}  // namespace

TEST_PROGRAM(data_session) {
  test::Checks checks("data_session");
  const test::Folder folder;
  const auto path = folder.file("set.tiles");
  Quiet control;
  auto open = [](Dict settings) {
    Options options(settings, "open");
    return engine::open_store_writer(options);
  };
  checks.throws(
      "unknown option", "ERR_INVALID_ARGUMENT",
      [&] {
        open({{"path", path}, {"tile", 3}});
      },
      "tile");
  checks.throws("overlap out of range", "ERR_INVALID_ARGUMENT", [&] { open({{"path", path}, {"overlap", 1.0}}); });
  checks.throws(
      "unknown rule", "ERR_INVALID_ARGUMENT",
      [&] {
        open({{"path", path}, {"intensity", "auto"}});
      },
      "percentile");
  checks.holds("a writer that cannot be opened leaves no file", folder.files() == 0);

  auto session = open({{"path", path}, {"tile_size", 32}, {"overlap", 0.25}});
  auto add = [&](const at::Tensor& image, const at::Tensor& labels, const char* source) {
    return session->call("add", Dict{{"image", to_array(image)}, {"labels", to_array(labels)}, {"source", source}}, control);
  };
  const auto image = at::randint(256, {40, 33, 3}, at::kByte);
  auto labels = at::zeros({40, 33}, at::kInt);
  for (int i = 0; i < 300; ++i) labels.view(-1).slice(0, 4 * i, 4 * i + 4).fill_(i + 1);
  const auto added = add(image, labels, "a.png");
  checks.holds("tiles, first, instances",
               number(added, "tiles") == 4 && number(added, "first") == 0 && number(added, "instances") == 300);
  checks.throws(
      "another shape", "ERR_INVALID_LABELS", [&] { add(image, labels.t(), "b.png"); }, "b.png");
  checks.throws(
      "negative ids but -1", "ERR_INVALID_LABELS", [&] { add(image, labels - 2, "c.png"); }, "c.png");
  checks.throws(
      "float labels", "ERR_INVALID_LABELS", [&] { add(image, labels.to(at::kFloat), "d.png"); }, "d.png");
  checks.throws(
      "bad image", "ERR_INVALID_IMAGE",
      [&] {
        add(at::full({40, 33}, -1.0F), labels, "e.png");
      },
      "e.png");
  const auto bare = session->call("add", Dict{{"image", to_array(image)}, {"source", "f.png"}}, control);
  checks.holds("without labels, after the invalid ones", number(bare, "first") == 4 && number(bare, "instances") == 0);
  auto partly = labels.clone();
  partly.slice(0, 0, 10).fill_(-1);
  const auto ignoring = add(image, partly, "ignore.png");
  checks.holds("-1 is no instance", number(ignoring, "instances") == data::find_instances(partly).ids.size(0));
  checks.throws(
      "unknown command", "ERR_INVALID_ARGUMENT", [&] { session->call("append", Dict{}, control); }, "append");
  const auto done = session->call("finish", Dict{}, control);
  checks.holds("finish", number(done, "tiles") == 12 && number(done, "images") == 3);
  checks.throws("finished", "ERR_STATE", [&] { add(image, labels, "g.png"); });

  const data::Store store(path);
  checks.holds("300 ids in the store",
               data::find_instances(store.sample(0).labels).ids.max().item<int>() <= 300 && store.size() == 12);
  const auto kept = store.sample(8).labels;  // the first tile of the third image, without its padding
  const auto valid = store.sample(8).valid;
  checks.holds("-1 is in the store, padding is 0",
               kept.eq(-1).sum().item<int>() == (10 - (valid.y > 0 ? 0 : store.sample(8).y)) * valid.width &&
                   kept.slice(0, 0, valid.y).eq(0).all().item<bool>() && data::find_instances(kept).has_ignored &&
                   !data::find_instances(store.sample(0).labels).has_ignored);
  checks.holds("settings", store.settings().at("tile_size") == "32" && store.settings().at("intensity") == "percentile");
  return checks.finish();
}

}  // namespace cellsam::test::data_session_program
