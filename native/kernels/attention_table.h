// The kernels of one instruction set as a table; the last include of each attention_<set>.cc.
#pragma once

#include "kernels/attention_dense.h"
#include "kernels/attention_row_column.h"

namespace cellsam::kernels::attention {
namespace {

template <class Op>
constexpr Kernels kTable = {kBlockQueries,
                            row_column_job_scratch<Op>,
                            row_column_thread_scratch<Op>,
                            row_column_pack<Op>,
                            row_column_forward<Op>,
                            row_column_query_grads<Op>,
                            row_column_key_value_grads<Op>,
                            dense_job_scratch<Op>,
                            dense_thread_scratch<Op>,
                            dense_pack<Op>,
                            dense_forward<Op>,
                            dense_backward<Op>};

}  // namespace
}  // namespace cellsam::kernels::attention
