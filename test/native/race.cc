// race: a loop whose threads add to one number without asking each other. scripts/sanitize.mjs expects ThreadSanitizer to see
// it: what hides this one would hide every race in a parallel loop. No test runs it.
#include <ATen/Parallel.h>

#include "base/parallel.h"
#include "native/program.h"

TEST_PROGRAM(race) {
  at::set_num_threads(2);
  std::int64_t sum = 0;
  cellsam::parallel_for(0, 1000, 1, [&](std::int64_t from, std::int64_t to) {
    for (auto i = from; i < to; ++i) sum += i;
  });
  return sum > 0 ? 0 : 1;
}
