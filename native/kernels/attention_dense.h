// Softmax attention of one batch item and head, in which every query sees every key (DenseJob):
//   out[q] = sum over k of softmax over k (scale * query[q] . key[k]) * value[k]     queries, out [Q,d]; keys, values [K,d]
// The keys are taken in chunks with a running maximum of the scores, so that the scores of a block of queries stay in the
// cache: FlashAttention (Dao et al., NeurIPS 2022), docs/math.md (3.3) and (3.4) without positions. Backward keeps log_sum [Q],
// the base-2 logarithm of each query's sum, and computes the scores again. Called through the table by
// ops/fused_attention.cc; compiled for AVX2, AVX-512 and AVX-512 with bf16 products.
//
// Suffixes of operands: X_row_pairs pairs rows, X_column_pairs pairs columns; see attention_vec.h.
#pragma once

#include "kernels/attention_vec.h"

namespace cellsam::kernels::attention {
namespace {

constexpr std::int64_t kKeyChunk = 64;  // keys whose scores are held at a time, a multiple of kTileRows

// Where the packed operands of a job lie in its `job_scratch`.
template <class Op>
struct DenseLayout {
  DenseLayout(const DenseJob& job, bool backward) {
    dim = round_up(job.dim, kDimMultiple);
    keys = round_up(job.keys, kKeyChunk);
    dim_words = words<Op>(dim);
    block_words = kBlockQueries / Op::kStep;
    std::int64_t at = 0;
    const auto take = [&](std::int64_t count) { return (at += count) - count; };
    key = take(keys * dim_words);
    if (!backward) value_row_pairs = take(keys / Op::kStep * dim);
    if (backward) {
      key_row_pairs = take(keys / Op::kStep * dim), value = take(keys * dim_words);
      key_grad = take(keys * dim), value_grad = take(keys * dim);
    }
    total = at;
  }

  std::int64_t dim, keys, dim_words, block_words;       // padded sizes, and sizes in words
  std::int64_t key = 0, value = 0;                      // [K][dim_words]
  std::int64_t key_row_pairs = 0, value_row_pairs = 0;  // [words of K][dim]
  std::int64_t key_grad = 0, value_grad = 0;            // floats [K][dim]
  std::int64_t total = 0;
};

template <class Op>
std::int64_t dense_job_scratch(const DenseJob& job, bool backward) {
  return DenseLayout<Op>(job, backward).total;
}

template <class Op>
std::int64_t dense_thread_scratch(const DenseJob& job) {
  const DenseLayout<Op> layout(job, false);
  return (5 * kKeyChunk + 9 * layout.dim + 2) * kBlockQueries + kKeyChunk * layout.dim;
}

template <class Op>
void dense_pack(const DenseJob& job, bool backward, float* thread_scratch) {
  const DenseLayout<Op> layout(job, backward);
  for (std::int64_t k = 0; k < layout.keys; k += kKeyChunk) {
    const std::int64_t rest = job.keys - k, count = rest < kKeyChunk ? rest : kKeyChunk;
    const auto read = [&](const Rows& rows) {
      read_rows(thread_scratch, layout.dim, rows, k, count, job.dim);
      std::memset(thread_scratch + count * layout.dim, 0, (kKeyChunk - count) * layout.dim * sizeof(float));
    };
    read(job.key);
    pack_column_pairs<Op>(job.job_scratch + layout.key + k * layout.dim_words, thread_scratch, kKeyChunk, layout.dim);
    if (backward)
      pack_row_pairs<Op>(job.job_scratch + layout.key_row_pairs + k / Op::kStep * layout.dim, thread_scratch, kKeyChunk,
                         layout.dim);
    read(job.value);
    if (backward) {
      pack_column_pairs<Op>(job.job_scratch + layout.value + k * layout.dim_words, thread_scratch, kKeyChunk, layout.dim);
    } else {
      pack_row_pairs<Op>(job.job_scratch + layout.value_row_pairs + k / Op::kStep * layout.dim, thread_scratch, kKeyChunk,
                         layout.dim);
    }
  }
}

template <class Op>
void dense_forward(const DenseJob& job, std::int64_t block, float* thread_scratch) {
  const DenseLayout<Op> layout(job, false);
  const std::int64_t first = block * kBlockQueries, rest = job.queries - first,
                     count = rest < kBlockQueries ? rest : kBlockQueries;
  float* scores = thread_scratch;
  float* packed = scores + kKeyChunk * kBlockQueries;
  float* query = packed + kKeyChunk * kBlockQueries;  // [dim_words][kBlockQueries]
  float* out = query + layout.dim * kBlockQueries;    // [dim][kBlockQueries]
  float* scratch = out + layout.dim * kBlockQueries;
  read_queries<Op>(query, scratch, scratch + layout.dim * kBlockQueries, job.query, first, count, job.dim, layout.dim);
  std::memset(out, 0, layout.dim * kBlockQueries * sizeof(float));
  const float factor = job.scale * kLog2E;
  Vec running_max[kBlockVectors], sum[kBlockVectors] = {};
  for (auto& lane : running_max) lane = splat(-__builtin_inff());
  for (std::int64_t k = 0; k < job.keys; k += kKeyChunk) {
    const std::int64_t left = job.keys - k, here = left < kKeyChunk ? left : kKeyChunk;
    product<Op, kBlockVectors, false>(scores, kBlockQueries, kKeyChunk, job.job_scratch + layout.key + k * layout.dim_words,
                                      layout.dim_words, 1, query, kBlockQueries, layout.dim_words);
    for (std::int64_t j = 0; j < kBlockVectors; ++j) {
      float* column = scores + j * kVectorFloats;
      for (std::int64_t i = here; i < kKeyChunk; ++i) store(column + i * kBlockQueries, splat(-__builtin_inff()));
      Vec new_max = running_max[j];
      for (std::int64_t i = 0; i < here; ++i) new_max = max(load(column + i * kBlockQueries), new_max);
      const Vec rescale = exp2_nonpositive<Op::kTerms>((running_max[j] - new_max) * factor), shift = new_max * factor;
      Vec added = {};
      for (std::int64_t i = 0; i < kKeyChunk; i += Op::kStep) {
        Vec weight[2] = {};
        for (std::int64_t s = 0; s < Op::kStep; ++s) {
          weight[s] = exp2_nonpositive<Op::kTerms>(load(column + (i + s) * kBlockQueries) * factor - shift);
          added += weight[s];
        }
        Op::store_row_pairs(packed + i / Op::kStep * kBlockQueries + j * kVectorFloats, weight[0], weight[1]);
      }
      for (std::int64_t e = 0; e < layout.dim; ++e) {
        float* to = out + e * kBlockQueries + j * kVectorFloats;
        store(to, load(to) * rescale);
      }
      sum[j] = sum[j] * rescale + added;
      running_max[j] = new_max;
    }
    product<Op, kBlockVectors, true>(out, kBlockQueries, layout.dim,
                                     job.job_scratch + layout.value_row_pairs + k / Op::kStep * layout.dim, 1, layout.dim,
                                     packed, kBlockQueries, kKeyChunk / Op::kStep);
  }
  for (std::int64_t j = 0; j < kBlockVectors; ++j) {
    const Vec inverse = 1.0f / sum[j];
    for (std::int64_t e = 0; e < layout.dim; ++e) {
      float* to = out + e * kBlockQueries + j * kVectorFloats;
      store(to, load(to) * inverse);
    }
    for (std::int64_t i = 0; i < kVectorFloats && j * kVectorFloats + i < count; ++i) {
      job.log_sum[first + j * kVectorFloats + i] = running_max[j][i] * factor + __builtin_log2f(sum[j][i]);
    }
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.out, first + q, out + q, job.dim, kBlockQueries);
}

// One block of queries against all keys: the queries' gradient is finished, those of keys and values are added to.
template <class Op>
void dense_backward_block(const DenseJob& job, const DenseLayout<Op>& layout, std::int64_t block, float* thread_scratch) {
  const std::int64_t first = block * kBlockQueries, rest = job.queries - first,
                     count = rest < kBlockQueries ? rest : kBlockQueries;
  float* weights = thread_scratch;
  float* score_grads = weights + kKeyChunk * kBlockQueries;
  float* weight_column_pairs = score_grads + kKeyChunk * kBlockQueries;               // [kKeyChunk][block_words]
  float* score_grad_column_pairs = weight_column_pairs + kKeyChunk * kBlockQueries;   // [kKeyChunk][block_words]
  float* score_grad_row_pairs = score_grad_column_pairs + kKeyChunk * kBlockQueries;  // [words of kKeyChunk][kBlockQueries]
  float* query = score_grad_row_pairs + kKeyChunk * kBlockQueries;                    // [dim_words][kBlockQueries]
  float* out_grad = query + layout.dim * kBlockQueries;                               // [dim_words][kBlockQueries]
  float* query_row_pairs = out_grad + layout.dim * kBlockQueries;                     // [block_words][dim]
  float* out_grad_row_pairs = query_row_pairs + layout.dim * kBlockQueries;           // [block_words][dim]
  float* query_grad = out_grad_row_pairs + layout.dim * kBlockQueries;                // [dim][kBlockQueries]
  float* rows = query_grad + layout.dim * kBlockQueries;                              // floats [kBlockQueries][dim]
  float* transposed = rows + layout.dim * kBlockQueries;
  float* out_rows = transposed + layout.dim * kBlockQueries;  // [kBlockQueries][dim]
  float* log_sum = out_rows + layout.dim * kBlockQueries;     // [kBlockQueries]
  float* delta = log_sum + kBlockQueries;  // [kBlockQueries]: out_grad . out, the sum in a softmax's gradient
  read_queries<Op>(query, rows, transposed, job.query, first, count, job.dim, layout.dim);
  pack_row_pairs<Op>(query_row_pairs, rows, kBlockQueries, layout.dim);
  read_queries<Op>(out_grad, rows, transposed, job.out_grad, first, count, job.dim, layout.dim);
  pack_row_pairs<Op>(out_grad_row_pairs, rows, kBlockQueries, layout.dim);
  read_rows(out_rows, layout.dim, job.out, first, count, job.dim);
  for (std::int64_t q = 0; q < kBlockQueries; ++q) {
    log_sum[q] = q < count ? job.log_sum[first + q] : __builtin_inff();  // no weight for lanes without a query
    delta[q] = 0;
    for (std::int64_t e = 0; q < count && e < job.dim; ++e) delta[q] += rows[q * layout.dim + e] * out_rows[q * layout.dim + e];
  }
  std::memset(query_grad, 0, layout.dim * kBlockQueries * sizeof(float));
  const float factor = job.scale * kLog2E;
  for (std::int64_t k = 0; k < job.keys; k += kKeyChunk) {
    const std::int64_t left = job.keys - k, here = left < kKeyChunk ? left : kKeyChunk;
    product<Op, kBlockVectors, false>(weights, kBlockQueries, kKeyChunk, job.job_scratch + layout.key + k * layout.dim_words,
                                      layout.dim_words, 1, query, kBlockQueries, layout.dim_words);
    product<Op, kBlockVectors, false>(score_grads, kBlockQueries, kKeyChunk,
                                      job.job_scratch + layout.value + k * layout.dim_words, layout.dim_words, 1, out_grad,
                                      kBlockQueries, layout.dim_words);
    for (std::int64_t i = here; i < kKeyChunk; ++i) {
      for (std::int64_t j = 0; j < kBlockQueries; j += kVectorFloats)
        store(weights + i * kBlockQueries + j, splat(-__builtin_inff()));
    }
    for (std::int64_t j = 0; j < kBlockQueries; j += kVectorFloats) {
      const Vec shift = load(log_sum + j), correction = load(delta + j);
      for (std::int64_t i = 0; i < kKeyChunk; i += Op::kStep) {
        Vec score_grad[2] = {};
        for (std::int64_t s = 0; s < Op::kStep; ++s) {
          const std::int64_t place = (i + s) * kBlockQueries + j;
          const Vec weight = exp2_nonpositive<Op::kTerms>(load(weights + place) * factor - shift);
          score_grad[s] = weight * (load(score_grads + place) - correction) * job.scale;
          Op::store_column_pairs(weight_column_pairs + place / Op::kStep, weight);
          Op::store_column_pairs(score_grad_column_pairs + place / Op::kStep, score_grad[s]);
        }
        Op::store_row_pairs(score_grad_row_pairs + i / Op::kStep * kBlockQueries + j, score_grad[0], score_grad[1]);
      }
    }
    product<Op, kBlockVectors, true>(query_grad, kBlockQueries, layout.dim,
                                     job.job_scratch + layout.key_row_pairs + k / Op::kStep * layout.dim, 1, layout.dim,
                                     score_grad_row_pairs, kBlockQueries, kKeyChunk / Op::kStep);
    product_add<Op>(job.job_scratch + layout.key_grad + k * layout.dim, layout.dim, kKeyChunk, score_grad_column_pairs,
                    layout.block_words, 1, query_row_pairs, layout.block_words);
    product_add<Op>(job.job_scratch + layout.value_grad + k * layout.dim, layout.dim, kKeyChunk, weight_column_pairs,
                    layout.block_words, 1, out_grad_row_pairs, layout.block_words);
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.query_grad, first + q, query_grad + q, job.dim, kBlockQueries);
}

template <class Op>
void dense_backward(const DenseJob& job, float* thread_scratch) {
  const DenseLayout<Op> layout(job, true);
  std::memset(job.job_scratch + layout.key_grad, 0, 2 * layout.keys * layout.dim * sizeof(float));
  for (std::int64_t block = 0; block * kBlockQueries < job.queries; ++block)
    dense_backward_block(job, layout, block, thread_scratch);
  for (std::int64_t k = 0; k < job.keys; ++k) {
    write_row(job.key_grad, k, job.job_scratch + layout.key_grad + k * layout.dim, job.dim);
    write_row(job.value_grad, k, job.job_scratch + layout.value_grad + k * layout.dim, job.dim);
  }
}

}  // namespace
}  // namespace cellsam::kernels::attention
