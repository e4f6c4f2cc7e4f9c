// The assignment solver against the exhaustive answer on small problems, against a plain search over all columns on large and
// awkward ones with every instruction set, its errors, and a problem as large as training has.
#include "loss/hungarian.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "kernels/isa.h"
#include "native/assignment_reference.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::hungarian_program {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Problem {
  std::vector<double> cost;
  std::int64_t rows, columns;
};

// kind 0: real numbers; 1: few integers, so many ties; 2: half of the pairs forbidden
Problem draw(CounterRng& rng, std::int64_t rows, std::int64_t columns, int kind) {
  Problem problem{std::vector<double>(static_cast<std::size_t>(rows * columns)), rows, columns};
  for (auto& cost : problem.cost) {
    cost = kind == 1 ? static_cast<double>(rng.below(4)) - 1 : rng.uniform() * 10 - 5;
    if (kind == 2 && rng.below(2) == 0) cost = kInfinity;
  }
  return problem;
}

// Tries every order of the longer side against the shorter one.
double cheapest(const Problem& problem) {
  const bool tall = problem.rows > problem.columns;
  const auto small = std::min(problem.rows, problem.columns), large = std::max(problem.rows, problem.columns);
  std::vector<std::int64_t> order(static_cast<std::size_t>(large));
  std::iota(order.begin(), order.end(), 0);
  double best = kInfinity;
  do {
    double total = 0;
    for (std::int64_t i = 0; i < small; ++i) {
      total += tall ? problem.cost[order[i] * problem.columns + i] : problem.cost[i * problem.columns + order[i]];
    }
    best = std::min(best, total);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

double total_of(const Problem& problem, const loss::Assignment& found) {
  double total = 0;
  for (std::size_t i = 0; i < found.rows.size(); ++i) total += problem.cost[found.rows[i] * problem.columns + found.columns[i]];
  return total;
}

bool one_to_one(const Problem& problem, const loss::Assignment& found) {
  auto columns = found.columns;
  std::sort(columns.begin(), columns.end());
  const auto pairs = static_cast<std::size_t>(std::min(problem.rows, problem.columns));
  return found.rows.size() == pairs && columns.size() == pairs && std::is_sorted(found.rows.begin(), found.rows.end()) &&
         std::adjacent_find(found.rows.begin(), found.rows.end()) == found.rows.end() &&
         std::adjacent_find(columns.begin(), columns.end()) == columns.end();
}

void check_small(test::Checks& checks) {
  CounterRng rng({2026});
  double worst = 0;
  int infeasible = 0, wrong = 0;
  for (int round = 0; round < 300; ++round) {
    const auto problem = draw(rng, rng.below(7), rng.below(7), round % 3);
    const double expected = cheapest(problem);
    try {
      const auto found = loss::hungarian(problem.cost.data(), problem.rows, problem.columns);
      worst = std::max(worst, std::abs(total_of(problem, found) - expected));
      wrong += one_to_one(problem, found) ? 0 : 1;
    } catch (const Error& error) {
      ++infeasible;
      wrong += error.code == "ERR_INFEASIBLE_ASSIGNMENT" && expected == kInfinity ? 0 : 1;
    }
  }
  checks.near("300 problems up to 6x6: total", worst, 0, 1e-12);
  checks.near("300 problems up to 6x6: one-to-one, errors only where nothing fits", wrong, 0, 0);
  checks.holds("some problems were infeasible", infeasible > 5);
}

// A cost of any kind that makes an assignment hard: equal and forbidden costs, equal rows and columns, rows that compete for
// the same columns, costs of very different size.
template <class Number>
std::vector<Number> awkward(CounterRng& rng, std::int64_t rows, std::int64_t columns, int kind) {
  std::vector<Number> cost(static_cast<std::size_t>(rows * columns));
  std::vector<double> of_column(static_cast<std::size_t>(columns));
  for (auto& value : of_column) value = rng.uniform();
  for (std::int64_t row = 0; row < rows; ++row) {
    const double of_row = rng.uniform();
    for (std::int64_t column = 0; column < columns; ++column) {
      double value = rng.uniform() * 2 - 1;
      if (kind == 1) value = static_cast<double>(rng.below(3));
      if (kind == 2 && rng.below(5) != 0) value = kInfinity;
      if (kind == 3) value = of_column[column] * 5 + 1e-3 * of_row;  // nearly a sum: all rows want the same columns
      if (kind == 4) value = std::abs(of_row - of_column[column]);   // points on a line
      if (kind == 5) value = std::pow(10.0, rng.uniform() * 60 - 30);
      if (kind == 6 && row % 4 != 0) value = static_cast<double>(cost[(row - 1) * columns + column]);  // equal rows
      if (kind == 7) value = of_row * of_column[column];  // the order of all rows is the same
      cost[row * columns + column] = static_cast<Number>(value);
    }
  }
  return cost;
}

// How far the solver's total is above the plain search's, as a part of the largest cost that either uses; a forbidden problem
// must be so for both.
template <class Number>
double gap(const std::vector<Number>& cost, std::int64_t rows, std::int64_t columns, const loss::Assignment& found) {
  const Problem problem{{cost.begin(), cost.end()}, rows, columns};
  const auto plain = test::plain_assignment(problem.cost, rows, columns);
  if (!one_to_one(problem, found)) return kInfinity;
  double largest = 1e-300;
  for (std::size_t i = 0; i < found.rows.size(); ++i) {
    for (const auto& pairs : {found, plain}) {
      largest = std::max(largest, std::abs(problem.cost[pairs.rows[i] * columns + pairs.columns[i]]));
    }
  }
  return std::abs(total_of(problem, found) - total_of(problem, plain)) / largest;
}

template <class Number>
void check_awkward(test::Checks& checks, const std::string& name) {
  CounterRng rng({11});
  double worst = 0;
  int forbidden = 0, wrong = 0, differ = 0;
  for (int round = 0; round < 400; ++round) {
    const auto rows = static_cast<std::int64_t>(rng.below(round % 5 == 0 ? 90 : 12)),
               columns = static_cast<std::int64_t>(rng.below(round % 3 == 0 ? 400 : 20));
    const auto cost = awkward<Number>(rng, rows, columns, round % 8);
    std::vector<loss::Assignment> answers;
    for (auto level : {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512}) {
      kernels::use_isa(level);
      try {
        answers.push_back(loss::hungarian(cost.data(), rows, columns));
      } catch (const Error& error) {
        wrong += error.code == "ERR_INFEASIBLE_ASSIGNMENT" ? 0 : 1;
      }
    }
    if (answers.empty()) {
      ++forbidden;
      wrong += test::plain_assignment({cost.begin(), cost.end()}, rows, columns).rows.empty() && rows * columns > 0 ? 0 : 1;
      continue;
    }
    worst = std::max(worst, gap(cost, rows, columns, answers[0]));
    for (const auto& answer : answers) {
      differ += answer.rows == answers[0].rows && answer.columns == answers[0].columns ? 0 : 1;
    }
    differ += answers.size() == 3 ? 0 : 1;
  }
  kernels::use_isa(kernels::best_isa());
  checks.near("400 awkward problems, " + name + ": total", worst, 0, 1e-13);
  checks.near("400 awkward problems, " + name + ": forbidden only where nothing fits", wrong, 0, 0);
  checks.near("400 awkward problems, " + name + ": the same pairs with every instruction set", differ, 0, 0);
  checks.holds("some were forbidden, " + name, forbidden > 2);
}

// Of equals: rows in order, each takes the first column.
void check_ties(test::Checks& checks) {
  const std::vector<float> equal(5 * 200, 1.0F);
  const auto found = loss::hungarian(equal.data(), 5, 200);
  checks.holds("of equal columns the first are taken", found.columns == std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

void check_errors(test::Checks& checks) {
  std::vector<double> cost = {1, 2, 3, 4, 5, 6};
  for (double bad : {std::numeric_limits<double>::quiet_NaN(), -kInfinity}) {
    cost[4] = bad;
    for (auto [rows, columns] : {std::pair{2, 3}, std::pair{3, 2}}) {
      const auto detail = checks.throws("non-finite", "ERR_NON_FINITE_COST",
                                        [&, r = rows, c = columns] { loss::hungarian(cost.data(), r, c); });
      checks.holds("row and column are named", detail.size() == 2 && *detail.at("row").as<double>() == 4 / columns &&
                                                   *detail.at("column").as<double>() == 4 % columns);
    }
  }
  // In float32, at every place of a row that spans several vectors, and before a later one.
  for (auto level : {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512}) {
    kernels::use_isa(level);
    int wrong = 0;
    for (std::int64_t at = 0; at < 2 * 135; ++at) {
      std::vector<float> wide(3 * 135, 1.0F);
      wide[at] = at % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : -std::numeric_limits<float>::infinity();
      wide[2 * 135 + 5] = std::numeric_limits<float>::quiet_NaN();
      wide[2 * 135] = std::numeric_limits<float>::infinity();
      try {
        loss::hungarian(wide.data(), 3, 135);
        ++wrong;
      } catch (const Error& error) {
        wrong += error.code == "ERR_NON_FINITE_COST" && *error.detail.at("row").as<double>() == static_cast<double>(at / 135) &&
                         *error.detail.at("column").as<double>() == static_cast<double>(at % 135)
                     ? 0
                     : 1;
      }
    }
    checks.near("the first non-finite cost is named, level " + std::to_string(static_cast<int>(level)), wrong, 0, 0);
  }
  kernels::use_isa(kernels::best_isa());
  const std::vector<double> blocked = {kInfinity, 1, kInfinity, 2};
  checks.throws("a column for two rows", "ERR_INFEASIBLE_ASSIGNMENT", [&] { loss::hungarian(blocked.data(), 2, 2); });
  checks.holds("no rows", loss::hungarian(blocked.data(), 0, 4).rows.empty());
  checks.holds("no columns", loss::hungarian(blocked.data(), 4, 0).rows.empty());
}

// Transposed and in float32, a large problem must cost the same; the time is printed for the reader, not judged.
void check_large(test::Checks& checks) {
  CounterRng rng({7, 7});
  const auto tall = draw(rng, 3500, 500, 0);
  Problem wide{std::vector<double>(tall.cost.size()), tall.columns, tall.rows};
  for (std::int64_t row = 0; row < tall.rows; ++row) {
    for (std::int64_t column = 0; column < tall.columns; ++column)
      wide.cost[column * tall.rows + row] = tall.cost[row * tall.columns + column];
  }
  const std::vector<float> narrow(tall.cost.begin(), tall.cost.end());
  const auto begin = std::chrono::steady_clock::now();
  const auto found = loss::hungarian(tall.cost.data(), tall.rows, tall.columns);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "3500x500: %.1f ms\n", time.count());
  checks.holds("3500x500 is one-to-one", one_to_one(tall, found));
  const double total = total_of(tall, found);
  checks.near("3500x500: transposed", total_of(wide, loss::hungarian(wide.cost.data(), 500, 3500)), total, 1e-9);
  checks.near("3500x500: float32", total_of(tall, loss::hungarian(narrow.data(), 3500, 500)), total, 1e-3);
}

}  // namespace

TEST_PROGRAM(hungarian) {
  Checks checks("hungarian");
  check_small(checks);
  check_awkward<float>(checks, "float32");
  check_awkward<double>(checks, "float64");
  check_ties(checks);
  check_errors(checks);
  check_large(checks);
  return checks.finish();
}

}  // namespace cellsam::test::hungarian_program
