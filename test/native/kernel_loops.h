// Our CUDA kernels as host loops over blocks and threads, phase by phase: what native/cuda/*_kernels.cu start on a GPU.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "cuda/mask_losses.h"
#include "cuda/row_column_grad.h"

namespace cellsam::test {

// A phase that reads what another thread of it writes gives other numbers with the threads backwards.
enum class ThreadOrder { forwards, backwards };

template <class Phase>
void all_threads(ThreadOrder order, int threads, const Phase& phase) {
  for (int thread = 0; thread < threads; ++thread) phase(order == ThreadOrder::backwards ? threads - 1 - thread : thread);
}

// What launch_mask_losses() starts.
inline void loop_mask_losses(const cuda::MaskLossArguments& a, ThreadOrder order) {
  using namespace cuda;
  std::vector<float> memory(mask_shared_bytes(a.max_pixels) / sizeof(float) + 1);
  const auto tile = tile_in(memory.data(), a.max_pixels);
  const auto all = [&](const auto& phase) { all_threads(order, kMaskThreads, phase); };
  for (int block = 0; block < a.prompts * a.tiles_down * a.tiles_across; ++block) {
    std::fill(memory.begin(), memory.end(), NAN);  // a block must not read what it has not written
    const auto region = region_of(a, block);
    all([&](int thread) { load_pixels(a, region, tile, thread); });
    if (a.weights.boundary != 0) all([&](int thread) { find_edges(a, region, tile, thread); });
    all([&](int thread) { add_pixels(a, region, tile, thread); });
    if (a.gradient) all([&](int thread) { gather_adjoints(a, region, tile, thread); });
    for (int half = kMaskThreads / 2; half > 0; half /= 2) all([&](int thread) { fold_sums(tile, half, thread); });
    all([&](int thread) { store_sums(a, tile, block, thread); });
  }
  std::vector<double> lanes(kMaskSums * kMaskLanes);
  for (int prompt = 0; prompt < a.prompts; ++prompt) {
    for (int thread = 0; thread < kMaskSums * kMaskLanes; ++thread) add_tiles(a, lanes.data(), prompt, thread);
    finish_prompt(a, lanes.data(), prompt);
  }
  if (!a.gradient) return;
  const auto low_pixels = static_cast<std::size_t>(a.prompts) * a.rows.low * a.columns.low;
  for (std::size_t low_pixel = 0; low_pixel < low_pixels; ++low_pixel) combine_adjoints(a, low_pixel);
}

// A block's memory; it must not read what it has not written.
inline float* unwritten(std::vector<cuda::Four>& memory, std::size_t bytes) {
  memory.assign(bytes / sizeof(cuda::Four) + 1, cuda::Four{{NAN, NAN, NAN, NAN}});
  return memory[0].at;
}

inline void loop_attention_weights(const cuda::RowColumnArguments& a, const cuda::RowBlock& b, const cuda::RowMemory& m,
                                   int threads, ThreadOrder order) {
  const auto all = [&](const auto& phase) { all_threads(order, threads, phase); };
  all([&](int thread) { load_queries(a, b, a.across.query, m.stage, thread, threads); });
  all([&](int thread) { score_keys(a, b, a.across, m.stage, m.across, thread, threads); });
  all([&](int thread) { load_queries(a, b, a.down.query, m.stage, thread, threads); });
  all([&](int thread) { score_keys(a, b, a.down, m.stage, m.down, thread, threads); });
  all([&](int thread) { softmax_all(a, m, thread, threads); });
}

// What launch_row_column() starts.
inline void loop_row_column(const cuda::RowColumnArguments& a, ThreadOrder order) {
  using namespace cuda;
  std::vector<Four> memory;
  const int threads = row_threads(a);
  const auto all = [&](const auto& phase) { all_threads(order, threads, phase); };
  for (int block = 0; block < a.items * a.heads * row_tiles(a); ++block) {
    const auto b = row_block(a, block);
    const auto m = row_memory(a, unwritten(memory, row_shared_bytes(a, false)));
    std::vector<RowSums> out(static_cast<std::size_t>(threads));
    loop_attention_weights(a, b, m, threads, order);
    for (int h = 0; h < a.down.keys; ++h) {
      all([&](int thread) { load_values(a, b, m, h, thread); });
      all([&](int thread) { mix_values(a, m, h, out[static_cast<std::size_t>(thread)], thread); });
    }
    all([&](int thread) { store_out(a, b, out[static_cast<std::size_t>(thread)], thread); });
  }
}

// What launch_row_column_backward() starts: first the gradients of the queries, then those of keys and values.
inline void loop_row_column_backward(const cuda::RowColumnArguments& a, ThreadOrder order) {
  using namespace cuda;
  std::vector<Four> memory;
  const auto all = [&](const auto& phase) { all_threads(order, kRowGradThreads, phase); };
  for (int block = 0; block < a.items * a.heads * row_tiles(a); ++block) {
    const auto b = row_block(a, block);
    const auto m = row_memory(a, unwritten(memory, row_shared_bytes(a, true)));
    std::vector<RowSums> across(kRowGradThreads);
    loop_attention_weights(a, b, m, kRowGradThreads, order);
    all([&](int thread) { load_queries(a, b, a.out, m.grad, thread, kRowGradThreads); });
    for (int h = 0; h < a.down.keys; ++h) {
      all([&](int thread) {
        if (h > 0) fold_row(a, b, m, h - 1, thread);
        load_values_transposed(a, b, m, h, thread);
      });
      all([&](int thread) { find_weight_grads(a, m, h, across[static_cast<std::size_t>(thread)], thread); });
    }
    all([&](int thread) {
      fold_row(a, b, m, a.down.keys - 1, thread);
      store_across(a, b, across[static_cast<std::size_t>(thread)], thread);
    });
    all([&](int thread) { softmax_all_grads(a, b, m, thread); });
    all([&](int thread) {
      store_query_grads(a, b, a.across, m.across, thread);
      store_query_grads(a, b, a.down, m.down, thread);
    });
  }
  for (int block = 0; block < a.items * a.heads * key_value_parts(a); ++block) {
    const auto b = key_value_block(a, block);
    const auto m = key_value_memory(unwritten(memory, key_value_shared_bytes(a)));
    const int threads = key_value_threads(a);
    std::vector<RowSums> sums(static_cast<std::size_t>(threads));
    for (int first = 0; first < a.queries; first += kRowAddends) {
      all_threads(order, threads, [&](int thread) { load_addends(a, b, m, first, thread); });
      all_threads(order, threads, [&](int thread) { sum_addends(a, b, m, sums[static_cast<std::size_t>(thread)], thread); });
    }
    all_threads(order, threads,
                [&](int thread) { store_key_value_grads(a, b, sums[static_cast<std::size_t>(thread)], thread); });
  }
}

}  // namespace cellsam::test
