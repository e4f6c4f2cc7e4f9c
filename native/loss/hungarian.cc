#include "loss/hungarian.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "engine.h"

namespace cellsam::loss {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kNone = -1;

template <class Number>
void check_finite(const Number* cost, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    if (cost[i] > -std::numeric_limits<Number>::infinity()) continue;  // false for NaN too
    const auto row = i / columns, column = i % columns;
    throw Error("ERR_NON_FINITE_COST",
                "the cost of row " + std::to_string(row) + ", column " + std::to_string(column) +
                    " is NaN or -infinity; +infinity may be used to forbid a pair",
                {{"row", row}, {"column", column}});
  }
}

// The column of every row, for rows <= columns. Rows are added one by one: Dijkstra's search over reduced costs finds the
// cheapest alternating path from the new row to a free column; then the path is flipped and the dual prices follow.
template <class Number>
std::vector<std::int64_t> solve(const Number* cost, std::int64_t rows, std::int64_t columns) {
  std::vector<double> row_price(rows, 0), column_price(columns, 0), distance(columns);
  std::vector<std::int64_t> column_of(rows, kNone), row_of(columns, kNone), previous(columns), open(columns), closed, visited;

  for (std::int64_t start = 0; start < rows; ++start) {
    std::iota(open.begin(), open.end(), std::int64_t{0});
    std::fill(distance.begin(), distance.end(), kInfinity);
    closed.clear();
    visited.clear();
    auto open_count = columns;
    auto row = start;
    auto reached = kNone;
    double length = 0;
    while (reached == kNone) {
      visited.push_back(row);
      const Number* line = cost + row * columns;
      const double base = length - row_price[row];
      double least = kInfinity;
      auto least_at = kNone;
      for (std::int64_t at = 0; at < open_count; ++at) {
        const auto column = open[at];
        const double through = base + static_cast<double>(line[column]) - column_price[column];
        if (through < distance[column]) {
          distance[column] = through;
          previous[column] = row;
        }
        // A free column ends the search, so it goes first among equals.
        if (distance[column] < least || (distance[column] == least && least_at != kNone && row_of[column] == kNone)) {
          least = distance[column];
          least_at = at;
        }
      }
      if (least_at == kNone) {
        throw Error("ERR_INFEASIBLE_ASSIGNMENT", "too many pairs have an infinite cost: no assignment avoids them all");
      }
      length = least;
      const auto column = open[least_at];
      open[least_at] = open[--open_count];
      closed.push_back(column);
      if (row_of[column] == kNone) {
        reached = column;
      } else {
        row = row_of[column];
      }
    }

    row_price[start] += length;
    for (auto other : visited) {
      if (other != start) row_price[other] += length - distance[column_of[other]];
    }
    for (auto column : closed) column_price[column] -= length - distance[column];
    for (auto column = reached;;) {
      const auto owner = previous[column];
      row_of[column] = owner;
      std::swap(column_of[owner], column);
      if (owner == start) break;
    }
  }
  return column_of;
}

template <class Number>
Assignment assign(const Number* cost, std::int64_t rows, std::int64_t columns) {
  check_finite(cost, rows, columns);
  Assignment result;
  if (rows <= columns) {
    result.columns = solve(cost, rows, columns);
    result.rows.resize(rows);
    std::iota(result.rows.begin(), result.rows.end(), std::int64_t{0});
    return result;
  }
  std::vector<Number> flipped(static_cast<std::size_t>(rows * columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) flipped[column * rows + row] = cost[row * columns + column];
  }
  const auto row_of = solve(flipped.data(), columns, rows);
  result.rows = row_of;
  result.columns.resize(columns);
  std::iota(result.columns.begin(), result.columns.end(), std::int64_t{0});
  std::sort(result.columns.begin(), result.columns.end(), [&](auto a, auto b) { return row_of[a] < row_of[b]; });
  std::sort(result.rows.begin(), result.rows.end());
  return result;
}

}  // namespace

Assignment hungarian(const double* cost, std::int64_t rows, std::int64_t columns) { return assign(cost, rows, columns); }
Assignment hungarian(const float* cost, std::int64_t rows, std::int64_t columns) { return assign(cost, rows, columns); }

}  // namespace cellsam::loss
