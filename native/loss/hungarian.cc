#include "loss/hungarian.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine.h"
#include "loss/cheapest.h"

namespace cellsam::loss {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t kNone = -1;

// Rows are added one by one: Dijkstra's search over reduced costs finds the cheapest alternating path from the new row to a
// free column; then the path is flipped and the dual prices follow.
//
// Prices of free columns are 0 and those of taken ones at most 0, since a column once taken stays so. Hence, seen from a row,
// no column is nearer than its cost says, a free one is just as far as its cost says, and whatever costs at least as much as
// the row's cheapest free column lies behind it: the search reads a row's columns in the order of their costs and stops there.
// That is exact, in floating point too, where adding a price that is not positive never makes a sum larger. Prices and
// distances are doubles, so that float costs enter them without rounding.
template <class Number>
class Solver {
 public:
  Solver(CostRows<Number>& costs, std::int64_t rows, std::int64_t columns)
      : cheapest_(costs, rows, columns),
        row_price_(rows, 0),
        column_price_(columns, 0),
        distance_(columns, 0),
        column_of_(rows, kNone),
        row_of_(columns, kNone),
        previous_(columns, kNone),
        seen_(columns, kNone) {}

  std::vector<std::int64_t> solve() {
    for (std::int32_t row = 0; row < std::ssize(column_of_); ++row) add(row);
    return {column_of_.begin(), column_of_.end()};
  }

 private:
  struct Reach {
    double distance;
    std::int32_t column;
    friend bool operator<(const Reach& a, const Reach& b) {  // nearest on top of a heap
      return a.distance > b.distance || (a.distance == b.distance && a.column > b.column);
    }
  };

  void add(std::int32_t start) {
    open_.clear();
    closed_.clear();
    end_ = {kInfinity, kNone};
    look_from(start, 0, start);
    while (!open_.empty()) {
      const auto nearest = open_.front();
      if (nearest.distance >= end_.distance) break;
      std::pop_heap(open_.begin(), open_.end());
      open_.pop_back();
      if (nearest.distance > distance_[nearest.column]) continue;  // was reached on a shorter way since
      closed_.push_back(nearest.column);
      seen_[nearest.column] = closed_by(start);
      look_from(row_of_[nearest.column], nearest.distance, start);
    }
    if (end_.column == kNone) {
      throw Error("ERR_INFEASIBLE_ASSIGNMENT", "too many pairs have an infinite cost: no assignment avoids them all");
    }
    row_price_[start] += end_.distance;
    for (auto column : closed_) {
      const double gain = end_.distance - distance_[column];
      row_price_[row_of_[column]] += gain;
      column_price_[column] -= gain;
    }
    for (auto column = end_.column;;) {
      const auto owner = previous_[column];
      row_of_[column] = owner;
      std::swap(column_of_[owner], column);
      if (owner == start) break;
    }
  }

  static std::int32_t opened_by(std::int32_t search) { return 2 * search; }
  static std::int32_t closed_by(std::int32_t search) { return 2 * search + 1; }

  // What can be reached through `row`, which itself is at `length`.
  void look_from(std::int32_t row, double length, std::int32_t search) {
    const double base = length - row_price_[row];
    for (std::size_t i = 0;; ++i) {
      if (i == cheapest_[row].size) {
        const auto bound = static_cast<double>(cheapest_[row].bound);
        if (bound == kInfinity || base + bound >= end_.distance) return;
        cheapest_.grow(row);
        if (i == cheapest_[row].size) return;
      }
      const auto& [cost, column] = cheapest_.entry(cheapest_[row].first + i);
      double through = base + static_cast<double>(cost);
      if (through >= end_.distance) return;
      if (row_of_[column] == kNone) {
        end_ = {through, column};
        previous_[column] = row;
        return;
      }
      if (seen_[column] == closed_by(search)) continue;  // rounding may make a way back seem shorter, which would be a circle
      through -= column_price_[column];
      if (through >= end_.distance || (seen_[column] == opened_by(search) && through >= distance_[column])) continue;
      seen_[column] = opened_by(search);
      distance_[column] = through;
      previous_[column] = row;
      open_.push_back({through, column});
      std::push_heap(open_.begin(), open_.end());
    }
  }

  CheapestColumns<Number> cheapest_;
  std::vector<double> row_price_, column_price_, distance_;
  std::vector<std::int32_t> column_of_, row_of_, previous_;
  std::vector<std::int32_t> seen_;    // the search that reached a column last, and whether it closed it
  std::vector<Reach> open_;           // a heap; entries that are farther than `distance_` are void
  std::vector<std::int32_t> closed_;  // columns whose distance is final
  Reach end_{kInfinity, kNone};       // the nearest free column so far
};

// A matrix that lies in memory.
template <class Number>
class StoredRows final : public CostRows<Number> {
 public:
  StoredRows(const Number* cost, std::int64_t columns) : cost_(cost), columns_(columns) {}
  typename CostRows<Number>::Row row(std::int64_t row, Number* minima) override {
    const Number* line = cost_ + row * columns_;
    return {line, kernels::group_minima(line, columns_, minima)};
  }

 private:
  const Number* cost_;
  std::int64_t columns_;
};

template <class Number>
std::vector<std::int64_t> solve(const Number* cost, std::int64_t rows, std::int64_t columns) {
  StoredRows<Number> stored(cost, columns);
  return Solver<Number>(stored, rows, columns).solve();
}

template <class Number>
Assignment assign(const Number* cost, std::int64_t rows, std::int64_t columns) {
  Assignment result;
  if (rows <= columns) {
    result.columns = solve(cost, rows, columns);
    result.rows.resize(rows);
    std::iota(result.rows.begin(), result.rows.end(), std::int64_t{0});
    return result;
  }
  std::vector<Number> flipped(static_cast<std::size_t>(rows * columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    require_finite(cost + row * columns, row, columns);
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

std::vector<std::int64_t> assign_rows(CostRows<double>& costs, std::int64_t rows, std::int64_t columns) {
  return Solver<double>(costs, rows, columns).solve();
}
std::vector<std::int64_t> assign_rows(CostRows<float>& costs, std::int64_t rows, std::int64_t columns) {
  return Solver<float>(costs, rows, columns).solve();
}

}  // namespace cellsam::loss
