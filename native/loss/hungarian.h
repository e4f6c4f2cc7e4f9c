// The linear assignment problem: which query answers which target at the least total cost. Shortest augmenting paths in the
// rectangular form of Crouse (IEEE Trans. Aerospace and Electronic Systems 52(4), 2016), the method behind SciPy's
// linear_sum_assignment.
#pragma once

#include <cstdint>
#include <vector>

namespace cellsam::loss {

// Pair i matches row rows[i] with column columns[i]; `rows` ascends, and there are min(rows, columns) pairs.
struct Assignment {
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> columns;
};

// Minimises the sum of cost[row * columns + column] over a one-to-one assignment. Either side may be zero.
// +inf forbids a pair. Throws ERR_INFEASIBLE_ASSIGNMENT when no assignment of finite cost exists and ERR_NON_FINITE_COST, with
// {row, column} in its detail, at the first NaN or -inf. O(min² max) time; a copy of `cost` is made only when rows > columns.
Assignment hungarian(const double* cost, std::int64_t rows, std::int64_t columns);
Assignment hungarian(const float* cost, std::int64_t rows, std::int64_t columns);

}  // namespace cellsam::loss
