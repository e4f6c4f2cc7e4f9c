// Checks of the native test programs, printed in the form of test/parity/case.h: a JSON line per check, {"name","max_error",
// "limit","ok"}, then the number of checks and of failures, {"case","compared","failed"}.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "engine.h"

namespace cellsam::test {

class Checks {
 public:
  // `program` is the name that the last line gives.
  explicit Checks(std::string program) : program_(std::move(program)) {}

  // `error` is at most `limit`.
  void near(const std::string& name, double error, double limit) { report(name, error, limit); }

  void near(const std::string& name, double got, double expected, double limit) {
    report(name, std::abs(got - expected), limit);
  }

  // The largest difference of two tensors. (A template, so that programs without libtorch can include this file.)
  template <class Tensor>
  requires requires(const Tensor& tensor) { tensor.sizes(); }
  void near(const std::string& name, const Tensor& got, const Tensor& expected, double limit) {
    report(name, got.sizes() == expected.sizes() ? (got - expected).abs().max().template item<double>() : INFINITY, limit);
  }

  // The largest difference in units of the largest expected element.
  template <class Tensor>
  void relative(const std::string& name, const Tensor& got, const Tensor& expected, double limit) {
    const auto size = expected.abs().max().template item<double>();
    const auto difference = (got.detach().to(expected.scalar_type()) - expected).abs().max();
    near(name, difference.template item<double>() / (size == 0 ? 1 : size), limit);
  }

  void holds(const std::string& name, bool condition) { report(name, condition ? 0 : 1, 0); }

  // `run` must throw an Error with this code and with this text in its message. Returns the error's detail.
  template <class Run>
  Dict throws(const std::string& name, const std::string& code, Run run, const std::string& text = "") {
    try {
      run();
    } catch (const Error& error) {
      const bool expected = error.code == code && std::string(error.what()).find(text) != std::string::npos;
      if (!expected) std::fprintf(stderr, "%s: %s: %s\n", name.c_str(), error.code.c_str(), error.what());
      holds(name + " throws " + code, expected);
      return error.detail;
    }
    holds(name + " throws " + code, false);
    return {};
  }

  int finish() const {
    std::printf("{\"case\":\"%s\",\"compared\":%d,\"failed\":%d}\n", program_.c_str(), compared_, failed_);
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

  std::string program_;
  int compared_ = 0, failed_ = 0;
};

}  // namespace cellsam::test
