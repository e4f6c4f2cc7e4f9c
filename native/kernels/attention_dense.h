// Plain softmax attention in lanes, the keys taken chunk by chunk with a running maximum (Dao et al., NeurIPS 2022), forward
// and backward: the scores of a block of queries stay in the cache.
#pragma once

#include "kernels/attention_vec.h"

namespace cellsam::kernels::lanes {
namespace {

constexpr std::int64_t kChunk = 64;  // keys whose scores are held at a time, a multiple of every tile

template <class Op>
struct DenseLayout {
  DenseLayout(const DenseJob& job, bool backward) {
    dim = round_up(job.dim, kRound);
    keys = round_up(job.keys, kChunk);
    deep = words<Op>(dim);
    lanes = kBlock / Op::kStep;
    std::int64_t at = 0;
    const auto take = [&](std::int64_t count) { return (at += count) - count; };
    key = take(keys * deep);
    if (!backward) value_down = take(keys / Op::kStep * dim);
    if (backward) {
      key_down = take(keys / Op::kStep * dim), value = take(keys * deep);
      key_grad = take(keys * dim), value_grad = take(keys * dim);
    }
    total = at;
  }

  std::int64_t dim, keys, deep, lanes;        // padded sizes, and sizes in words
  std::int64_t key = 0, value = 0;            // [K][deep]
  std::int64_t key_down = 0, value_down = 0;  // [words of K][dim]
  std::int64_t key_grad = 0, value_grad = 0;  // floats [K][dim]
  std::int64_t total = 0;
};

template <class Op>
std::int64_t dense_shared(const DenseJob& job, bool backward) {
  return DenseLayout<Op>(job, backward).total;
}

template <class Op>
std::int64_t dense_own(const DenseJob& job) {
  const DenseLayout<Op> at(job, false);
  return (5 * kChunk + 9 * at.dim + 2) * kBlock + kChunk * at.dim;
}

template <class Op>
void dense_pack(const DenseJob& job, bool backward, float* own) {
  const DenseLayout<Op> at(job, backward);
  for (std::int64_t k = 0; k < at.keys; k += kChunk) {
    const std::int64_t rest = job.keys - k, count = rest < kChunk ? rest : kChunk;
    const auto read = [&](const Rows& rows) {
      read_rows(own, at.dim, rows, k, count, job.dim);
      std::memset(own + count * at.dim, 0, (kChunk - count) * at.dim * sizeof(float));
    };
    read(job.key);
    pack_along<Op>(job.shared + at.key + k * at.deep, own, kChunk, at.dim);
    if (backward) pack_down<Op>(job.shared + at.key_down + k / Op::kStep * at.dim, own, kChunk, at.dim);
    read(job.value);
    if (backward) {
      pack_along<Op>(job.shared + at.value + k * at.deep, own, kChunk, at.dim);
    } else {
      pack_down<Op>(job.shared + at.value_down + k / Op::kStep * at.dim, own, kChunk, at.dim);
    }
  }
}

template <class Op>
void dense_forward(const DenseJob& job, std::int64_t block, float* own) {
  const DenseLayout<Op> at(job, false);
  const std::int64_t first = block * kBlock, rest = job.queries - first, count = rest < kBlock ? rest : kBlock;
  float* scores = own;
  float* packed = scores + kChunk * kBlock;
  float* query = packed + kChunk * kBlock;  // [deep][kBlock]
  float* out = query + at.dim * kBlock;     // [dim][kBlock]
  float* scratch = out + at.dim * kBlock;
  read_block<Op>(query, scratch, scratch + at.dim * kBlock, job.query, first, count, job.dim, at.dim);
  std::memset(out, 0, at.dim * kBlock * sizeof(float));
  const float factor = job.scale * kLog2E;
  Vec top[kVectors], sum[kVectors] = {};
  for (auto& lane : top) lane = splat(-__builtin_inff());
  for (std::int64_t k = 0; k < job.keys; k += kChunk) {
    const std::int64_t left = job.keys - k, here = left < kChunk ? left : kChunk;
    product<Op, kVectors, false>(scores, kBlock, kChunk, job.shared + at.key + k * at.deep, at.deep, 1, query, kBlock, at.deep);
    for (std::int64_t j = 0; j < kVectors; ++j) {
      float* column = scores + j * kLanes;
      for (std::int64_t i = here; i < kChunk; ++i) store(column + i * kBlock, splat(-__builtin_inff()));
      Vec highest = top[j];
      for (std::int64_t i = 0; i < here; ++i) highest = max(load(column + i * kBlock), highest);
      const Vec shrink = exp2<Op>((top[j] - highest) * factor), shift = highest * factor;
      Vec added = {};
      for (std::int64_t i = 0; i < kChunk; i += Op::kStep) {
        Vec weight[2] = {};
        for (std::int64_t s = 0; s < Op::kStep; ++s) {
          weight[s] = exp2<Op>(load(column + (i + s) * kBlock) * factor - shift);
          added += weight[s];
        }
        Op::pair(packed + i / Op::kStep * kBlock + j * kLanes, weight[0], weight[1]);
      }
      for (std::int64_t e = 0; e < at.dim; ++e) {
        float* to = out + e * kBlock + j * kLanes;
        store(to, load(to) * shrink);
      }
      sum[j] = sum[j] * shrink + added;
      top[j] = highest;
    }
    product<Op, kVectors, true>(out, kBlock, at.dim, job.shared + at.value_down + k / Op::kStep * at.dim, 1, at.dim, packed,
                                kBlock, kChunk / Op::kStep);
  }
  for (std::int64_t j = 0; j < kVectors; ++j) {
    const Vec inverse = 1.0f / sum[j];
    for (std::int64_t e = 0; e < at.dim; ++e) {
      float* to = out + e * kBlock + j * kLanes;
      store(to, load(to) * inverse);
    }
    for (std::int64_t i = 0; i < kLanes && j * kLanes + i < count; ++i) {
      job.log_sum[first + j * kLanes + i] = top[j][i] * factor + __builtin_log2f(sum[j][i]);
    }
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.out, first + q, out + q, job.dim, kBlock);
}

// One block of queries against all keys: its own gradient is finished, those of keys and values are added to.
template <class Op>
void dense_backward_block(const DenseJob& job, const DenseLayout<Op>& at, std::int64_t block, float* own) {
  const std::int64_t first = block * kBlock, rest = job.queries - first, count = rest < kBlock ? rest : kBlock;
  float* weights = own;
  float* slopes = weights + kChunk * kBlock;
  float* weights_along = slopes + kChunk * kBlock;        // [kChunk][lanes]
  float* slopes_along = weights_along + kChunk * kBlock;  // [kChunk][lanes]
  float* slopes_down = slopes_along + kChunk * kBlock;    // [words of kChunk][kBlock]
  float* query = slopes_down + kChunk * kBlock;           // [deep][kBlock]
  float* out_grad = query + at.dim * kBlock;              // [deep][kBlock]
  float* query_down = out_grad + at.dim * kBlock;         // [lanes][dim]
  float* grad_down = query_down + at.dim * kBlock;        // [lanes][dim]
  float* query_grad = grad_down + at.dim * kBlock;        // [dim][kBlock]
  float* rows = query_grad + at.dim * kBlock;             // floats [kBlock][dim]
  float* turned = rows + at.dim * kBlock;
  float* out_rows = turned + at.dim * kBlock;   // [kBlock][dim]
  float* log_sum = out_rows + at.dim * kBlock;  // [kBlock]
  float* mean = log_sum + kBlock;               // [kBlock]: out_grad . out
  read_block<Op>(query, rows, turned, job.query, first, count, job.dim, at.dim);
  pack_down<Op>(query_down, rows, kBlock, at.dim);
  read_block<Op>(out_grad, rows, turned, job.out_grad, first, count, job.dim, at.dim);
  pack_down<Op>(grad_down, rows, kBlock, at.dim);
  read_rows(out_rows, at.dim, job.out, first, count, job.dim);
  for (std::int64_t q = 0; q < kBlock; ++q) {
    log_sum[q] = q < count ? job.log_sum[first + q] : __builtin_inff();  // no weight for lanes without a query
    mean[q] = 0;
    for (std::int64_t e = 0; q < count && e < job.dim; ++e) mean[q] += rows[q * at.dim + e] * out_rows[q * at.dim + e];
  }
  std::memset(query_grad, 0, at.dim * kBlock * sizeof(float));
  const float factor = job.scale * kLog2E;
  for (std::int64_t k = 0; k < job.keys; k += kChunk) {
    const std::int64_t left = job.keys - k, here = left < kChunk ? left : kChunk;
    product<Op, kVectors, false>(weights, kBlock, kChunk, job.shared + at.key + k * at.deep, at.deep, 1, query, kBlock,
                                 at.deep);
    product<Op, kVectors, false>(slopes, kBlock, kChunk, job.shared + at.value + k * at.deep, at.deep, 1, out_grad, kBlock,
                                 at.deep);
    for (std::int64_t i = here; i < kChunk; ++i) {
      for (std::int64_t j = 0; j < kBlock; j += kLanes) store(weights + i * kBlock + j, splat(-__builtin_inff()));
    }
    for (std::int64_t j = 0; j < kBlock; j += kLanes) {
      const Vec shift = load(log_sum + j), middle = load(mean + j);
      for (std::int64_t i = 0; i < kChunk; i += Op::kStep) {
        Vec slope[2] = {};
        for (std::int64_t s = 0; s < Op::kStep; ++s) {
          const std::int64_t place = (i + s) * kBlock + j;
          const Vec weight = exp2<Op>(load(weights + place) * factor - shift);
          slope[s] = weight * (load(slopes + place) - middle) * job.scale;
          Op::halve(weights_along + place / Op::kStep, weight);
          Op::halve(slopes_along + place / Op::kStep, slope[s]);
        }
        Op::pair(slopes_down + i / Op::kStep * kBlock + j, slope[0], slope[1]);
      }
    }
    product<Op, kVectors, true>(query_grad, kBlock, at.dim, job.shared + at.key_down + k / Op::kStep * at.dim, 1, at.dim,
                                slopes_down, kBlock, kChunk / Op::kStep);
    product_add<Op>(job.shared + at.key_grad + k * at.dim, at.dim, kChunk, slopes_along, at.lanes, 1, query_down, at.lanes);
    product_add<Op>(job.shared + at.value_grad + k * at.dim, at.dim, kChunk, weights_along, at.lanes, 1, grad_down, at.lanes);
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.query_grad, first + q, query_grad + q, job.dim, kBlock);
}

template <class Op>
void dense_backward(const DenseJob& job, float* own) {
  const DenseLayout<Op> at(job, true);
  std::memset(job.shared + at.key_grad, 0, 2 * at.keys * at.dim * sizeof(float));
  for (std::int64_t block = 0; block * kBlock < job.queries; ++block) dense_backward_block(job, at, block, own);
  for (std::int64_t k = 0; k < job.keys; ++k) {
    write_row(job.key_grad, k, job.shared + at.key_grad + k * at.dim, job.dim);
    write_row(job.value_grad, k, job.shared + at.value_grad + k * at.dim, job.dim);
  }
}

}  // namespace
}  // namespace cellsam::kernels::lanes
