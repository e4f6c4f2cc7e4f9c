// Loops on libtorch's own threads. at::parallel_for cannot be used: it is a template, which is parallel only in files that are
// compiled with the same OpenMP as libtorch, and runs on the calling thread alone in all others.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace cellsam {

// Divides [begin, end) into at most at::get_num_threads() parts, none shorter than
// `grain`, and calls body(from, to) for each of them on a thread of its own. Within
// another parallel loop it runs on the calling thread alone. Rethrows the first exception.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t from, std::int64_t to)> body);

}  // namespace cellsam
