// The cheapest columns of each row of a cost matrix, as sorted lists that grow when an assignment needs more of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine.h"
#include "kernels/match_cost_kernel.h"
#include "loss/cost_rows.h"

namespace cellsam::loss {

// Throws ERR_NON_FINITE_COST at the first NaN or -inf of a row.
template <class Number>
void require_finite(const Number* costs, std::int64_t row, std::int64_t columns) {
  for (std::int64_t column = 0; column < columns; ++column) {
    if (costs[column] > -std::numeric_limits<Number>::infinity()) continue;  // false for NaN too
    throw Error("ERR_NON_FINITE_COST",
                "the cost of row " + std::to_string(row) + ", column " + std::to_string(column) +
                    " is NaN or -infinity; +infinity may be used to forbid a pair",
                {{"row", row}, {"column", column}});
  }
}

template <class Number>
class CheapestColumns {
 public:
  struct Entry {
    Number cost;
    std::int32_t column;
    friend bool operator<(const Entry& a, const Entry& b) {
      return a.cost < b.cost || (a.cost == b.cost && a.column < b.column);
    }
  };
  // All columns of a row whose cost is at most `bound`, cheapest first, of equals the least number first; never infinite ones.
  struct List {
    std::size_t first = 0;
    std::size_t size = 0;
    Number bound = 0;
  };

  // Looks at every row once and throws ERR_NON_FINITE_COST at the first NaN or -inf.
  CheapestColumns(CostRows<Number>& costs, std::int64_t rows, std::int64_t columns) : costs_(costs), columns_(columns) {
    lists_.resize(static_cast<std::size_t>(rows));
    found_.resize(static_cast<std::size_t>(columns) + 1);
    entries_.reserve(static_cast<std::size_t>(rows) * kReserved);
    std::array<Number, kernels::kColumnGroups> minima;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto found = costs_.row(row, minima.data());
      if (!found.finite) require_finite(found.costs, row, columns_);
      collect(lists_[row], found.costs, first_bound(minima));
    }
  }

  const List& operator[](std::int64_t row) const { return lists_[row]; }
  const Entry& entry(std::size_t at) const { return entries_[at]; }
  bool complete(std::int64_t row) const { return lists_[row].bound == kInfinity; }

  // Makes the list of `row` at least four times as long, or complete. What it held stays at its front.
  void grow(std::int64_t row) {
    std::array<Number, kernels::kColumnGroups> minima;
    const auto* costs = costs_.row(row, minima.data()).costs;
    const auto wanted = static_cast<std::int64_t>(4 * lists_[row].size);
    auto bound = kInfinity;
    if (wanted < columns_ / 2) {
      sorted_.assign(costs, costs + columns_);
      std::nth_element(sorted_.begin(), sorted_.begin() + wanted, sorted_.end());
      bound = sorted_[wanted];
    }
    collect(lists_[row], costs, bound);
  }

 private:
  static constexpr Number kInfinity = std::numeric_limits<Number>::infinity();
  static constexpr std::int64_t kParts = 8;     // of the groups, see first_bound
  static constexpr std::size_t kReserved = 32;  // more than a row's first list holds as a rule

  // A cost that at least 8 columns do not exceed, 22 in the mean if the cheapest fall into groups at random: the largest of
  // what the cheapest column of each eighth costs.
  static Number first_bound(const std::array<Number, kernels::kColumnGroups>& minima) {
    std::array<Number, kParts> least;
    std::copy_n(minima.begin(), kParts, least.begin());
    for (std::int64_t i = kParts; i < kernels::kColumnGroups; ++i) least[i % kParts] = std::min(least[i % kParts], minima[i]);
    return *std::max_element(least.begin(), least.end());
  }

  void collect(List& list, const Number* costs, Number bound) {
    list.first = entries_.size();
    list.bound = bound;
    const auto found =
        kernels::columns_within(costs, columns_, std::min(bound, std::numeric_limits<Number>::max()), found_.data());
    for (std::int64_t i = 0; i < found; ++i) entries_.push_back({costs[found_[i]], found_[i]});
    list.size = entries_.size() - list.first;
    std::sort(entries_.begin() + static_cast<std::ptrdiff_t>(list.first), entries_.end());
  }

  CostRows<Number>& costs_;
  std::int64_t columns_;
  std::vector<List> lists_;
  std::vector<Entry> entries_;
  std::vector<std::int32_t> found_;
  std::vector<Number> sorted_;
};

}  // namespace cellsam::loss
