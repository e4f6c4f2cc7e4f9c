// Case 07: the matching cost and the assignment, against the official matcher and SciPy.
#include "loss/matcher.h"

#include "loss/hungarian.h"
#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::matcher_program {

namespace {

std::string two_digits(std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

double total_of(const at::Tensor& cost, const at::Tensor& rows, const at::Tensor& columns) {
  return rows.numel() == 0 ? 0 : cost.to(at::kDouble).index({rows, columns}).sum().item<double>();
}

void check_problem(test::Case& parity, const Value& problem) {
  const auto id = "p" + two_digits(test::integer(problem, "id"));
  const auto logits = parity.io(id + ".pred_logits"), boxes = parity.io(id + ".pred_boxes");
  const loss::MatchCost weights{test::number(problem, "cost_class"), test::number(problem, "cost_bbox"),
                                test::number(problem, "cost_giou")};
  const auto& totals = test::list(problem, "total_cost");
  for (std::int64_t image = 0; image < logits.size(0); ++image) {
    const auto name = id + ".t" + std::to_string(image);
    const loss::Targets targets{parity.io(name + ".boxes"), parity.io(name + ".labels")};
    const auto cost = loss::cost_matrix(logits[image], boxes[image], targets, weights);
    parity.check(name + ".cost", cost, parity.tolerance("cost"));
    const auto found = loss::match(logits[image], boxes[image], targets, weights);
    parity.check(name + ".total", total_of(cost, found.source, found.target), test::as<double>(totals[image]), 1e-5, 1e-5);
    if (test::flag(problem, "ties")) continue;  // with equal costs there are several solutions
    parity.check(name + ".src_idx", found.source, {});
    parity.check(name + ".tgt_idx", found.target, {});
  }
}

void check_raw(test::Case& parity, const Value& entry) {
  const auto name = "raw" + two_digits(test::integer(entry, "id"));
  const auto cost = parity.io(name + ".cost").to(at::kDouble).contiguous();
  const auto found = loss::hungarian(cost.const_data_ptr<double>(), cost.size(0), cost.size(1));
  const auto rows = at::tensor(found.rows, at::kLong), columns = at::tensor(found.columns, at::kLong);
  parity.check(name + ".total", total_of(cost, rows, columns), test::number(entry, "total"), parity.tolerance("raw total").rtol,
               0);
  if (!test::flag(entry, "unique_optimum_expected")) return;
  parity.check(name + ".row", rows, {});
  parity.check(name + ".col", columns, {});
}

}  // namespace

TEST_PROGRAM(matcher) {
  return test::run_case(argc, argv, [](test::Case& parity) {
    for (const auto& problem : test::list(parity.info(), "problems")) check_problem(parity, problem);
    for (const auto& entry : test::list(parity.info(), "raw")) check_raw(parity, entry);
  });
}

}  // namespace cellsam::test::matcher_program
