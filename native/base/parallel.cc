#include "base/parallel.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

namespace cellsam {

// A loop of libtorch's that was compiled with its threads: that over the elements of a tensor. It hands out addresses, and the
// place of an element is its number; nothing is read or written there.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  c10::function_ref<void(std::int64_t from, std::int64_t to)> body) {
  const auto count = end - begin;
  if (count <= 0) return;
  if (count <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) return body(begin, end);
  const auto places = at::detail::empty_cpu({count}, at::kByte);
  const auto* first = static_cast<const char*>(places.const_data_ptr());
  auto loop = at::TensorIterator::borrowing_nullary_op(places);
  loop.for_each(
      [&](char** at, const std::int64_t*, std::int64_t size, std::int64_t) {  // one row of a tensor with one dimension
        const auto from = begin + (at[0] - first);
        body(from, from + size);
      },
      grain);
}

}  // namespace cellsam
