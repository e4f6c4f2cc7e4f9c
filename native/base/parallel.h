// Loops on libtorch's own threads. at::parallel_for is a template: compiled outside libtorch it is parallel only in files built
// with the OpenMP that libtorch itself was built with, and runs everything on the calling thread in all others.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace cellsam {

// Calls body(from, to) for parts that make up [begin, end), one for each of at most at::get_num_threads() threads and none
// shorter than `grain`. On the calling thread alone within another parallel loop. The first exception of a part is thrown on.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t from, std::int64_t to)> body);

}  // namespace cellsam
