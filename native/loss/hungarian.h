// The linear assignment problem: which query is matched with which target at the least total cost. Shortest augmenting paths in
// the rectangular form of Crouse (IEEE Trans. Aerospace and Electronic Systems 52(4), 2016), the method behind SciPy's
// linear_sum_assignment, over the few columns of each row that can matter.
#pragma once

#include <cstdint>
#include <vector>

#include "loss/cost_rows.h"

namespace cellsam::loss {

// Pair i matches row rows[i] with column columns[i]; `rows` ascends, and there are min(rows, columns) pairs.
struct Assignment {
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> columns;
};

// Minimises the sum of cost[row * columns + column] over a one-to-one assignment. Either side may be zero.
// +inf forbids a pair. Throws ERR_INFEASIBLE_ASSIGNMENT when no assignment of finite cost exists and ERR_NON_FINITE_COST, with
// {row, column} in its detail, at the first NaN or -inf. Of several cheapest assignments the same one is found on every
// machine: rows are served in order, and of equally near columns a row takes a free one with the least number. O(min² max) time
// at worst; a copy of `cost` is made only when rows > columns.
Assignment hungarian(const double* cost, std::int64_t rows, std::int64_t columns);
Assignment hungarian(const float* cost, std::int64_t rows, std::int64_t columns);

// The column of every row, for rows <= columns. Throws as `hungarian` does.
std::vector<std::int64_t> assign_rows(CostRows<double>& costs, std::int64_t rows, std::int64_t columns);
std::vector<std::int64_t> assign_rows(CostRows<float>& costs, std::int64_t rows, std::int64_t columns);

}  // namespace cellsam::loss
