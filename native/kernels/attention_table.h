// The kernels of one instruction set as a table; the last include of every lane_<set>.cc.
#pragma once

#include "kernels/attention_dense.h"
#include "kernels/attention_row_column.h"

namespace cellsam::kernels::lanes {
namespace {

template <class Op>
constexpr Kernels kTable = {kBlock,
                            row_column_shared<Op>,
                            row_column_own<Op>,
                            row_column_pack<Op>,
                            row_column_forward<Op>,
                            row_column_queries<Op>,
                            row_column_cells<Op>,
                            dense_shared<Op>,
                            dense_own<Op>,
                            dense_pack<Op>,
                            dense_forward<Op>,
                            dense_backward<Op>};

}  // namespace
}  // namespace cellsam::kernels::lanes
