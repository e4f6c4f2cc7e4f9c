// The native half of weights_python.py: `copy IN OUT` reads a checkpoint and writes it again, as .safetensors when OUT ends
// so and as .pth otherwise; `code IN` prints the error code of reading, or "read".
// links: kernels weights
#include <cstdio>
#include <string>

#include "engine.h"
#include "weights/checkpoint.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

using namespace cellsam;

int main(int count, char** arguments) {
  const std::string command = count > 2 ? arguments[1] : "";
  try {
    if (command == "copy" && count == 4) {
      const auto tensors = weights::read_checkpoint(arguments[2]);
      const std::string out = arguments[3];
      const auto written =
          out.ends_with(".safetensors") ? weights::write_safetensors(out, tensors) : weights::write_pth(out, tensors);
      std::printf("%s\n", written.sha256.c_str());
      return 0;
    }
    if (command == "code" && count == 3) {
      weights::read_checkpoint(arguments[2]);
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
