// The session of kind "store_writer", as TypeScript drives it.
// links: model loss augment data optim metric infer weights engine
#include <ATen/ATen.h>

#include "base/tensors.h"
#include "data/store.h"
#include "data/targets.h"
#include "engine/store_writer.h"
#include "native/data_check.h"

using namespace cellsam;

namespace {

struct Quiet : Control {
  bool cancelled() const override { return false; }
  bool abandoned() const override { return false; }
  void emit(Value) override {}
};

double number(const Value& answer, const std::string& name) { return *answer.as<Dict>()->at(name).as<double>(); }

}  // namespace

int main() {
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
  checks.holds("a refused writer leaves no file", folder.files() == 0);

  auto session = open({{"path", path}, {"tile_size", 32}, {"overlap", 0.25}});
  auto add = [&](const at::Tensor& image, const at::Tensor& labels, const char* source) {
    return session->call("add", Dict{{"image", to_array(image)}, {"labels", to_array(labels)}, {"source", source}}, control);
  };
  const auto image = at::randint(256, {40, 33, 3}, at::kByte);
  auto labels = at::zeros({40, 33}, at::kInt);
  for (int i = 0; i < 300; ++i) labels.view(-1).slice(0, 4 * i, 4 * i + 4).fill_(i + 1);
  const auto answer = add(image, labels, "a.png");
  checks.holds("tiles, first, instances",
               number(answer, "tiles") == 4 && number(answer, "first") == 0 && number(answer, "instances") == 300);
  checks.throws(
      "another shape", "ERR_INVALID_LABELS", [&] { add(image, labels.t(), "b.png"); }, "b.png");
  checks.throws(
      "negative ids", "ERR_INVALID_LABELS", [&] { add(image, labels - 1, "c.png"); }, "c.png");
  checks.throws(
      "float labels", "ERR_INVALID_LABELS", [&] { add(image, labels.to(at::kFloat), "d.png"); }, "d.png");
  checks.throws(
      "bad image", "ERR_INVALID_IMAGE",
      [&] {
        add(at::full({40, 33}, -1.0F), labels, "e.png");
      },
      "e.png");
  const auto bare = session->call("add", Dict{{"image", to_array(image)}, {"source", "f.png"}}, control);
  checks.holds("without labels, after the refused ones", number(bare, "first") == 4 && number(bare, "instances") == 0);
  checks.throws(
      "unknown command", "ERR_INVALID_ARGUMENT", [&] { session->call("append", Dict{}, control); }, "append");
  const auto done = session->call("finish", Dict{}, control);
  checks.holds("finish", number(done, "tiles") == 8 && number(done, "images") == 2);
  checks.throws("finished", "ERR_STATE", [&] { add(image, labels, "g.png"); });

  const data::Store store(path);
  checks.holds("300 ids in the store",
               data::find_instances(store.sample(0).labels).ids.max().item<int>() <= 300 && store.size() == 8);
  checks.holds("settings", store.settings().at("tile_size") == "32" && store.settings().at("intensity") == "percentile");
  return checks.finish();
}
