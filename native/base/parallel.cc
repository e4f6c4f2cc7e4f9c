#include "base/parallel.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

namespace cellsam {

// Uses a loop that is compiled into libtorch, with its threads: the one over the elements of a tensor. It passes addresses of
// elements, whose distance from the first one is their index. Nothing is read or written there.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t from, std::int64_t to)> body) {
  const auto count = end - begin;
  if (count <= 0) return;
  if (count <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) return body(begin, end);
  const auto bytes = at::detail::empty_cpu({count}, at::kByte);
  const auto* first = static_cast<const char*>(bytes.const_data_ptr());
  auto loop = at::TensorIterator::borrowing_nullary_op(bytes);
  loop.for_each(
      [&](char** data, const std::int64_t*, std::int64_t size, std::int64_t) {  // a row of a tensor with one dimension
        const auto from = begin + (data[0] - first);
        body(from, from + size);
      },
      grain);
}

}  // namespace cellsam
