// Prints the state dict of a model size in the format of test/fixtures/state_dict_vit_b.tsv: name, shape, dtype, tab-separated.
// usage: model_state SIZE plain|adv
#include <cstdio>
#include <map>
#include <string>

#include "model/cellsam.h"
#include "native/program.h"

namespace cellsam::test::model_state_program {

TEST_PROGRAM(model_state) {
  using namespace cellsam;
  const std::string kind = argc == 3 ? argv[2] : "";
  if (kind != "plain" && kind != "adv") {
    std::fprintf(stderr, "usage: model_state SIZE plain|adv\n");
    return 2;
  }
  try {
    const model::CellSam net(model::model_size(argv[1]), kind == "adv");
    const std::map<at::ScalarType, std::string> names = {{at::kFloat, "float32"}, {at::kDouble, "float64"}};
    for (const auto& [name, tensor] : net->state_dict()) {
      std::string shape;
      for (auto side : tensor.sizes()) shape += (shape.empty() ? "" : "x") + std::to_string(side);
      std::printf("%s\t%s\t%s\n", name.c_str(), shape.c_str(), names.at(tensor.scalar_type()).c_str());
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
}

}  // namespace cellsam::test::model_state_program
