// The native test programs stand in a few binaries, since each would link most of the engine: one is called by its name.
#pragma once

namespace cellsam::test {

using Program = int (*)(int argc, char** argv);

// Makes a program known to the binary that it is compiled into.
struct Registration {
  Registration(const char* name, Program program);
};

}  // namespace cellsam::test

// Begins the body of a program, int(int argc, char** argv), in a namespace of the file's own. argv[0] is its name; it returns 0
// when all of its checks hold and 1 when one does not.
#define TEST_PROGRAM(NAME)                                                         \
  static int run_##NAME(int argc, char** argv);                                    \
  static const ::cellsam::test::Registration registered_##NAME(#NAME, run_##NAME); \
  static int run_##NAME([[maybe_unused]] int argc, [[maybe_unused]] char** argv)
