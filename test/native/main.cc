// A binary of test programs: BINARY NAME [ARGUMENT...] runs the program of that name.
#include <cstdio>
#include <map>
#include <string>

#include "native/program.h"

namespace cellsam::test {
namespace {

std::map<std::string, Program>& programs() {
  static std::map<std::string, Program> all;
  return all;
}

}  // namespace

Registration::Registration(const char* name, Program program) { programs()[name] = program; }

}  // namespace cellsam::test

int main(int argc, char** argv) {
  const auto& programs = cellsam::test::programs();
  const auto found = argc > 1 ? programs.find(argv[1]) : programs.end();
  if (found != programs.end()) return found->second(argc - 1, argv + 1);
  std::fprintf(stderr, "Name one of these programs:\n");
  for (const auto& [name, program] : programs) std::fprintf(stderr, "  %s\n", name.c_str());
  return 2;
}
