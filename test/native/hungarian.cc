// The assignment solver against the exhaustive answer on small problems, its errors, and a problem as large as training has.
// links: loss
#include "loss/hungarian.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "native/checks.h"

using namespace cellsam;

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

int main() {
  test::Checks checks;
  check_small(checks);
  check_errors(checks);
  check_large(checks);
  return checks.finish("hungarian");
}
