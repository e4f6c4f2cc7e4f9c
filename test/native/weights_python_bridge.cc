// The native half of weights_python.py: `copy IN OUT` reads a checkpoint and writes it again, as .safetensors when OUT ends
// so and as .pth otherwise; `code IN` prints the error code of reading, or "read".
#include <cstdio>
#include <string>

#include "engine.h"
#include "native/program.h"
#include "weights/checkpoint.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

namespace cellsam::test::weights_python_bridge_program {

TEST_PROGRAM(weights_python_bridge) {
  const std::string command = argc > 2 ? argv[1] : "";
  try {
    if (command == "copy" && argc == 4) {
      const auto tensors = weights::read_checkpoint(argv[2]);
      const std::string out = argv[3];
      const auto written =
          out.ends_with(".safetensors") ? weights::write_safetensors(out, tensors) : weights::write_pth(out, tensors);
      std::printf("%s\n", written.sha256.c_str());
      return 0;
    }
    if (command == "code" && argc == 3) {
      weights::read_checkpoint(argv[2]);
      std::printf("read\n");
      return 0;
    }
  } catch (const Error& error) {
    std::printf("%s\n", error.code.c_str());
    std::fprintf(stderr, "%s\n", error.what());
    return command == "code" ? 0 : 1;
  }
  std::fprintf(stderr, "usage: weights_python_bridge copy IN OUT | code IN\n");
  return 2;
}

}  // namespace cellsam::test::weights_python_bridge_program
