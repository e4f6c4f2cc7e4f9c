// What the assignment (hungarian.h) and its lists of cheap columns (cheapest.h) read costs from.
#pragma once

#include <cstdint>

namespace cellsam::loss {

// A cost matrix that is made row by row, whenever the solver looks at one: twice at the most for nearly all of them.
template <class Number>
class CostRows {
 public:
  struct Row {
    const Number* costs;  // [columns], until the next call
    bool finite;          // false: some may be infinite or NaN
  };
  virtual ~CostRows() = default;
  // The same bits in every call. `minima` [kColumnGroups] takes the least cost of each group of columns (match_cost_kernel.h).
  virtual Row row(std::int64_t row, Number* minima) = 0;
};

}  // namespace cellsam::loss
