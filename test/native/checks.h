// Comparisons of the native loss and optimiser tests, printed in the form of test/parity/case.h: a JSON line per check, then
// the number of checks and of failures.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "engine.h"

namespace cellsam::test {

class Checks {
 public:
  void near(const std::string& name, double got, double expected, double limit) {
    report(name, std::abs(got - expected), limit);
  }

  void near(const std::string& name, const at::Tensor& got, const at::Tensor& expected, double limit) {
    report(name, got.sizes() == expected.sizes() ? (got - expected).abs().max().item<double>() : INFINITY, limit);
  }

  // The largest difference in units of the largest expected element.
  void relative(const std::string& name, const at::Tensor& got, const at::Tensor& expected, double limit) {
    const auto size = expected.abs().max().item<double>();
    near(name, (got.detach().to(at::kDouble) - expected).abs().max().item<double>() / (size == 0 ? 1 : size), 0, limit);
  }

  void holds(const std::string& name, bool condition) { report(name, condition ? 0 : 1, 0); }

  // The body must throw an Error of this code; the answer is its detail.
  Dict throws(const std::string& name, const std::string& code, const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      holds(name + " throws " + code, error.code == code);
      return error.detail;
    }
    holds(name + " throws " + code, false);
    return {};
  }

  int finish(const std::string& program) const {
    std::printf("{\"case\":\"%s\",\"compared\":%d,\"failed\":%d}\n", program.c_str(), compared_, failed_);
    return compared_ > 0 && failed_ == 0 ? 0 : 1;
  }

 private:
  void report(const std::string& name, double error, double limit) {
    const bool ok = error <= limit;  // false for NaN
    std::printf("{\"name\":\"%s\",\"max_error\":%.6g,\"limit\":%.6g,\"ok\":%s}\n", name.c_str(),
                std::isfinite(error) ? error : 1e300, limit, ok ? "true" : "false");
    ++compared_;
    failed_ += ok ? 0 : 1;
  }

  int compared_ = 0;
  int failed_ = 0;
};

// Central differences of the scalar `function` at `point` (float64), one element after another.
inline at::Tensor numeric_gradient(const at::Tensor& point, const std::function<at::Tensor(const at::Tensor&)>& function,
                                   double step = 1e-5) {
  at::NoGradGuard no_grad;
  auto gradient = at::zeros_like(point);
  for (std::int64_t i = 0; i < point.numel(); ++i) {
    auto moved = point.clone();
    moved.view({-1})[i] += step;
    const double above = function(moved).item<double>();
    moved.view({-1})[i] -= 2 * step;
    const double below = function(moved).item<double>();
    gradient.view({-1})[i] = (above - below) / (2 * step);
  }
  return gradient;
}

inline at::Tensor analytic_gradient(const at::Tensor& point, const std::function<at::Tensor(const at::Tensor&)>& function) {
  auto leaf = point.clone().requires_grad_(true);
  function(leaf).backward();
  return leaf.grad();
}

}  // namespace cellsam::test
