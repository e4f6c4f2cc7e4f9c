#include "ops/fused_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <memory>
#include <vector>

#include "base/parallel.h"
#include "kernels/attention_kernels.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Heads read rows of `dim` elements at one stride.
at::Tensor with_row_stride(const at::Tensor& x) {
  const bool rows = x.stride(-1) == 1 && (x.dim() == 3 || x.stride(1) == x.stride(2) * x.size(2));
  return rows ? x : x.contiguous();
}

// Head `head` of batch item `item` of [B,n,E] or [B,H,W,E].
kernels::attention::Rows rows_of(const at::Tensor& x, std::int64_t item, std::int64_t head, std::int64_t dim) {
  const auto offset = item * x.stride(0) + head * dim;
  const auto stride = x.is_contiguous() ? x.size(-1) : x.stride(-2);  // an axis of one may have any stride
  return {static_cast<char*>(x.data_ptr()) + offset * x.element_size(), stride, x.scalar_type() == at::kBFloat16};
}

const bool* flags_of(const std::optional<at::Tensor>& hidden, std::int64_t item) {
  return hidden ? hidden->data_ptr<bool>() + item * hidden->size(1) : nullptr;
}

// Runs body(job, part) for all parts of all jobs, on all threads, each with `thread_scratch` floats of scratch.
template <class Job, class Body>
void for_all_parts(const std::vector<Job>& jobs, std::int64_t parts, std::int64_t thread_scratch, const Body& body) {
  parallel_for(0, static_cast<std::int64_t>(jobs.size()) * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(thread_scratch));
    for (auto i = begin; i < end; ++i) body(jobs[static_cast<std::size_t>(i / parts)], i % parts, scratch.get());
  });
}

// Gives every job its `each` floats; they live as long as the returned tensor, so one batch item's at a time.
template <class Job>
at::Tensor allocate_job_scratch(std::vector<Job>& jobs, std::int64_t each) {
  auto memory = at::empty({static_cast<std::int64_t>(jobs.size()), each}, at::kFloat);
  for (std::size_t i = 0; i < jobs.size(); ++i)
    jobs[i].job_scratch = memory.data_ptr<float>() + static_cast<std::int64_t>(i) * each;
  return memory;
}

float scale_of(std::int64_t dim) { return static_cast<float>(1 / std::sqrt(static_cast<double>(dim))); }

std::int64_t blocks_of(const kernels::attention::Kernels& kernels, const at::Tensor& queries) {
  return (queries.size(1) + kernels.block - 1) / kernels.block;
}

const kernels::attention::Kernels& kernels_for(const at::Tensor& value) {
  const auto* kernels = kernels::attention::kernels(value.scalar_type() == at::kBFloat16);
  TORCH_CHECK(kernels != nullptr, "this processor has no kernels for fused attention");
  return *kernels;
}

struct RowColumnTensors {
  at::Tensor query_row, query_col, key_row, key_col, value;
};

// The heads of one batch item. `out` is the output, or its gradient; `grads` are empty or those of the five inputs.
std::vector<kernels::attention::RowColumnJob> row_column_jobs(const RowColumnTensors& x, std::int64_t item, std::int64_t heads,
                                                              const at::Tensor& out, const std::optional<at::Tensor>& columns,
                                                              const std::optional<at::Tensor>& rows,
                                                              const variable_list& grads = {}) {
  const auto dim = x.value.size(3) / heads;
  std::vector<kernels::attention::RowColumnJob> jobs(static_cast<std::size_t>(heads));
  for (std::int64_t head = 0; head < heads; ++head) {
    const auto part = [&](const at::Tensor& t) { return rows_of(t, item, head, dim); };
    auto& job = jobs[static_cast<std::size_t>(head)];
    job.queries = x.query_row.size(1), job.height = x.value.size(1), job.width = x.value.size(2), job.dim = dim;
    job.scale = scale_of(dim);
    job.query_row = part(x.query_row), job.query_col = part(x.query_col);
    job.key_row = part(x.key_row), job.key_col = part(x.key_col), job.value = part(x.value);
    job.hidden_columns = flags_of(columns, item), job.hidden_rows = flags_of(rows, item);
    if (grads.empty()) {
      job.out = part(out);
      continue;
    }
    job.out_grad = part(out);
    job.query_row_grad = part(grads[0]), job.query_col_grad = part(grads[1]);
    job.key_row_grad = part(grads[2]), job.key_col_grad = part(grads[3]), job.value_grad = part(grads[4]);
  }
  return jobs;
}

std::optional<at::Tensor> if_defined(const at::Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; }

class RowColumn : public torch::autograd::Function<RowColumn> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query_row, const at::Tensor& query_col,
                            const at::Tensor& key_row, const at::Tensor& key_col, const at::Tensor& value, std::int64_t heads,
                            const std::optional<at::Tensor>& columns, const std::optional<at::Tensor>& rows) {
    context->saved_data["heads"] = heads;
    context->save_for_backward(
        {query_row, query_col, key_row, key_col, value, columns.value_or(at::Tensor()), rows.value_or(at::Tensor())});
    auto out = at::empty({query_row.size(0), query_row.size(1), value.size(3)}, value.options());
    const auto& kernels = kernels_for(value);
    for (std::int64_t item = 0; item < value.size(0); ++item) {
      auto jobs = row_column_jobs({query_row, query_col, key_row, key_col, value}, item, heads, out, columns, rows);
      const auto thread_scratch = kernels.row_column_thread_scratch(jobs[0]);
      const auto memory = allocate_job_scratch(jobs, kernels.row_column_job_scratch(jobs[0], false));
      for_all_parts(jobs, 1, thread_scratch,
                    [&](const auto& job, std::int64_t, float* scratch) { kernels.row_column_pack(job, false, scratch); });
      for_all_parts(jobs, blocks_of(kernels, query_row), thread_scratch, kernels.row_column_forward);
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const RowColumnTensors x{saved[0], saved[1], saved[2], saved[3], saved[4]};
    const auto heads = context->saved_data["heads"].toInt();
    const auto out_grad = with_row_stride(gradients[0]);
    variable_list grads;
    for (std::size_t i = 0; i < 5; ++i) grads.push_back(at::empty(saved[i].sizes(), saved[i].options()));
    const auto& kernels = kernels_for(x.value);
    for (std::int64_t item = 0; item < x.value.size(0); ++item) {
      auto jobs = row_column_jobs(x, item, heads, out_grad, if_defined(saved[5]), if_defined(saved[6]), grads);
      const auto thread_scratch = kernels.row_column_thread_scratch(jobs[0]);
      const auto memory = allocate_job_scratch(jobs, kernels.row_column_job_scratch(jobs[0], true));
      for_all_parts(jobs, 1, thread_scratch,
                    [&](const auto& job, std::int64_t, float* scratch) { kernels.row_column_pack(job, true, scratch); });
      for_all_parts(jobs, blocks_of(kernels, x.query_row), thread_scratch, kernels.row_column_query_grads);
      for_all_parts(jobs, x.value.size(2) + 1, thread_scratch, kernels.row_column_key_value_grads);
    }
    grads.resize(8);
    return grads;
  }
};

// Saved: query, key, value, out, log_sum. `grads` are empty or those of out, query, key and value.
// All batch items at once: backward has no more parts than that to spread over threads.
std::vector<kernels::attention::DenseJob> dense_jobs(const variable_list& saved, std::int64_t heads,
                                                     const variable_list& grads = {}) {
  const auto dim = saved[2].size(2) / heads;
  std::vector<kernels::attention::DenseJob> jobs(static_cast<std::size_t>(saved[2].size(0) * heads));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto item = static_cast<std::int64_t>(i) / heads, head = static_cast<std::int64_t>(i) % heads;
    const auto part = [&](const at::Tensor& t) { return rows_of(t, item, head, dim); };
    auto& job = jobs[i];
    job.queries = saved[0].size(1), job.keys = saved[1].size(1), job.dim = dim;
    job.scale = scale_of(dim);
    job.query = part(saved[0]), job.key = part(saved[1]), job.value = part(saved[2]), job.out = part(saved[3]);
    job.log_sum = saved[4].data_ptr<float>() + (item * heads + head) * job.queries;
    if (grads.empty()) continue;
    job.out_grad = part(grads[0]), job.query_grad = part(grads[1]);
    job.key_grad = part(grads[2]), job.value_grad = part(grads[3]);
  }
  return jobs;
}

class Dense : public torch::autograd::Function<Dense> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            std::int64_t heads) {
    auto out = at::empty({query.size(0), query.size(1), value.size(2)}, value.options());
    const auto log_sum = at::empty({query.size(0), heads, query.size(1)}, at::kFloat);
    context->saved_data["heads"] = heads;
    const variable_list saved{query, key, value, out, log_sum};
    context->save_for_backward(saved);
    const auto& kernels = kernels_for(value);
    auto jobs = dense_jobs(saved, heads);
    if (jobs.empty()) return out;
    const auto thread_scratch = kernels.dense_thread_scratch(jobs[0]);
    const auto memory = allocate_job_scratch(jobs, kernels.dense_job_scratch(jobs[0], false));
    for_all_parts(jobs, 1, thread_scratch,
                  [&](const auto& job, std::int64_t, float* scratch) { kernels.dense_pack(job, false, scratch); });
    for_all_parts(jobs, blocks_of(kernels, query), thread_scratch, kernels.dense_forward);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto heads = context->saved_data["heads"].toInt();
    variable_list grads{with_row_stride(gradients[0])};
    for (std::size_t i = 0; i < 3; ++i) grads.push_back(at::empty(saved[i].sizes(), saved[i].options()));
    const auto& kernels = kernels_for(saved[2]);
    auto jobs = dense_jobs(saved, heads, grads);
    if (!jobs.empty()) {
      const auto thread_scratch = kernels.dense_thread_scratch(jobs[0]);
      const auto memory = allocate_job_scratch(jobs, kernels.dense_job_scratch(jobs[0], true));
      for_all_parts(jobs, 1, thread_scratch, [&](const auto& job, std::int64_t, float* scratch) {
        kernels.dense_pack(job, true, scratch);
        kernels.dense_backward(job, scratch);
      });
    }
    return {grads[1], grads[2], grads[3], at::Tensor()};
  }
};

}  // namespace

bool can_fuse(const at::Tensor& x) {
  const auto type = x.scalar_type();
  if (!kernels::attention::enabled() || !x.device().is_cpu() || (type != at::kFloat && type != at::kBFloat16)) return false;
  return kernels::attention::kernels(type == at::kBFloat16) != nullptr;
}

at::Tensor fused_row_column(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                            const at::Tensor& key_col, const at::Tensor& value, std::int64_t heads,
                            const std::optional<at::Tensor>& hidden_columns, const std::optional<at::Tensor>& hidden_rows) {
  const auto flags = [](const std::optional<at::Tensor>& hidden) {
    return hidden ? std::optional(hidden->contiguous()) : std::nullopt;
  };
  return RowColumn::apply(with_row_stride(query_row), with_row_stride(query_col), with_row_stride(key_row),
                          with_row_stride(key_col), with_row_stride(value), heads, flags(hidden_columns), flags(hidden_rows));
}

at::Tensor fused_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, std::int64_t heads) {
  return Dense::apply(with_row_stride(query), with_row_stride(key), with_row_stride(value), heads);
}

}  // namespace cellsam::ops
