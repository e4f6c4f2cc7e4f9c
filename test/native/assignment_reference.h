// The assignment problem solved plainly: Dijkstra's search over all columns for every row, in float64. What a faster solver is
// measured against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "loss/hungarian.h"

namespace cellsam::test {

// No pairs when every assignment needs an infinite cost.
inline loss::Assignment plain_assignment(const std::vector<double>& cost, std::int64_t rows, std::int64_t columns) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool tall = rows > columns;
  const auto n = tall ? columns : rows, m = tall ? rows : columns;
  const auto at = [&](std::int64_t row, std::int64_t column) {
    return tall ? cost[column * columns + row] : cost[row * columns + column];
  };
  std::vector<double> row_price(n, 0), column_price(m, 0);
  std::vector<std::int64_t> row_of(m, -1);
  for (std::int64_t start = 0; start < n; ++start) {
    std::vector<double> distance(m, kInfinity);
    std::vector<std::int64_t> previous(m, -1);
    std::vector<bool> closed(m, false);
    std::int64_t row = start, end = -1;
    double length = 0;
    while (end < 0) {
      std::int64_t next = -1;
      for (std::int64_t column = 0; column < m; ++column) {
        if (closed[column]) continue;
        const double through = length + at(row, column) - row_price[row] - column_price[column];
        if (through < distance[column]) {
          distance[column] = through;
          previous[column] = row;
        }
        if (distance[column] < kInfinity && (next < 0 || distance[column] < distance[next])) next = column;
      }
      if (next < 0) return {};
      length = distance[next];
      closed[next] = true;
      row = row_of[next];
      if (row < 0) end = next;
    }
    row_price[start] += length;
    for (std::int64_t column = 0; column < m; ++column) {
      if (!closed[column] || column == end) continue;
      row_price[row_of[column]] += length - distance[column];
      column_price[column] -= length - distance[column];
    }
    std::vector<std::int64_t> column_of(n, -1);
    for (std::int64_t column = 0; column < m; ++column) {
      if (row_of[column] >= 0) column_of[row_of[column]] = column;
    }
    for (auto column = end;;) {
      const auto owner = previous[column];
      row_of[column] = owner;
      std::swap(column_of[owner], column);
      if (owner == start) break;
    }
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t column = 0; column < m; ++column) {
    if (row_of[column] >= 0) pairs.emplace_back(tall ? column : row_of[column], tall ? row_of[column] : column);
  }
  std::sort(pairs.begin(), pairs.end());
  loss::Assignment found;
  for (const auto& [row, column] : pairs) {
    found.rows.push_back(row);
    found.columns.push_back(column);
  }
  return found;
}

}  // namespace cellsam::test
