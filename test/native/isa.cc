// The choice of instruction set: what Linux says of this CPU, and what lowers it.
#include "kernels/isa.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::isa_program {

namespace {

// The words of the first CPU's "flags"; none on other systems and architectures.
std::set<std::string> flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

}  // namespace

TEST_PROGRAM(isa) {
  Checks checks("isa");
  const auto has = flags();
  const auto all = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(), [&](const char* name) { return has.contains(name); });
  };
  if (!has.empty()) {
    const bool avx2 = all({"avx2", "fma"}), avx512 = avx2 && all({"avx512f", "avx512bw", "avx512dq", "avx512vl"});
    checks.holds("the best level", kernels::best_isa() == (avx512 ? kernels::Isa::avx512
                                                           : avx2 ? kernels::Isa::avx2
                                                                  : kernels::Isa::portable));
    checks.holds("bfloat16 products", kernels::has_bf16_products() == (avx512 && all({"avx512_bf16"})));
    checks.holds("SHA", kernels::has_sha() == all({"sha_ni", "sse4_1"}));
  }

  const char* wish = std::getenv("CELLSAM_ISA");
  checks.holds("the best is in use unless the environment lowers it", kernels::isa() == kernels::best_isa() || wish != nullptr);
  checks.holds("CELLSAM_ISA=portable",
               kernels::isa() == kernels::Isa::portable || wish == nullptr || std::string(wish) != "portable");
  for (const auto level : {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512}) {
    kernels::use_isa(level);
    checks.holds("a wish is granted up to the best", kernels::isa() == std::min(level, kernels::best_isa()));
  }
  return checks.finish();
}

}  // namespace cellsam::test::isa_program
