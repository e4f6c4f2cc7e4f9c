// Case 12: scikit-learn's k-means on detection scores, the threshold that follows, and how many scores pass it.
#include "infer/threshold.h"

#include <algorithm>

#include "native/program.h"
#include "parity/case.h"

namespace cellsam::test::kmeans_threshold_program {

namespace {

void threshold_case(Case& parity) {
  const double atol = parity.tolerance("threshold").atol;
  for (const auto& set : list(parity.info(), "sets")) {
    char name[8];
    std::snprintf(name, sizeof(name), "s%02d", static_cast<int>(integer(set, "id")));
    const auto scores = parity.io(std::string(name) + ".scores");
    const double threshold = infer::score_threshold(scores, 0.4);
    parity.check(std::string(name) + ".threshold", threshold, number(set, "threshold"), 0, atol);
    parity.check(std::string(name) + ".kept", scores.to(at::kDouble).gt(threshold).sum().item<double>(), number(set, "kept"), 0,
                 0);
    if (!has_field(set, "centers")) continue;
    auto centres = infer::two_means(scores);
    std::sort(centres.begin(), centres.end());
    for (const int k : {0, 1}) {
      parity.check(std::string(name) + ".centre" + std::to_string(k), centres[k], as<double>(list(set, "centers")[k]), 0, atol);
    }
  }
}

}  // namespace

TEST_PROGRAM(kmeans_threshold) { return run_case(argc, argv, threshold_case); }

}  // namespace cellsam::test::kmeans_threshold_program
