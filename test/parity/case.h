// One parity case: its case.json, its tensors and weights, and the comparison that every program of this folder prints.
// A program writes one JSON line per compared tensor, {"name","max_error","limit","ok"}, and at last
// {"case","compared","failed"}; parity.test.ts reads them. All sizes come from the case, so another case of the same form runs
// unchanged.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "parity/json.h"

namespace cellsam::test {

using TensorMap = std::map<std::string, at::Tensor>;

// Reads a .safetensors file on its own, so that the package's reader is not tested against itself.
inline TensorMap read_safetensors(const std::string& path) {
  static const std::map<std::string, at::ScalarType> kTypes = {{"F32", at::kFloat}, {"F64", at::kDouble}, {"U8", at::kByte},
                                                               {"BOOL", at::kBool}, {"I32", at::kInt},    {"I64", at::kLong}};
  std::string file = read_file(path);
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const std::string json = file.substr(8, header);
  const Value root = JsonReader(json).read();
  TensorMap tensors;
  for (const auto& [name, entry] : as<Dict>(root)) {
    if (name == "__metadata__") continue;
    std::vector<std::int64_t> shape;
    for (const auto& side : list(entry, "shape")) shape.push_back(static_cast<std::int64_t>(as<double>(side)));
    const auto begin = static_cast<std::size_t>(as<double>(list(entry, "data_offsets")[0]));
    const auto type = kTypes.at(text(entry, "dtype"));
    tensors[name] = at::from_blob(file.data() + 8 + header + begin, shape, type).clone();
  }
  return tensors;
}

// |got - expected| <= atol + atol_of_max * max|expected| + rtol * |expected|, element by element.
struct Tolerance {
  double rtol = 0;
  double atol = 0;
  double atol_of_max = 0;
};

class Case {
 public:
  explicit Case(const std::string& folder)
      : info_(read_json(folder + "/case.json")), io_(read_safetensors(folder + "/io.safetensors")) {
    if (std::ifstream(folder + "/weights.safetensors").good()) weights_ = read_safetensors(folder + "/weights.safetensors");
  }

  const Value& info() const { return info_; }  // case.json
  std::int64_t config(const std::string& name) const { return integer(field(info_, "config"), name); }
  const TensorMap& weights() const { return weights_; }

  bool has(const std::string& name) const { return io_.contains(name); }
  at::Tensor io(const std::string& name) const {
    if (!has(name)) throw std::runtime_error("the case has no tensor " + name);
    return io_.at(name);
  }
  // The names that begin with `prefix`, in alphabetical order.
  std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> found;
    for (const auto& [name, tensor] : io_) {
      if (name.compare(0, prefix.size(), prefix) == 0) found.push_back(name);
    }
    return found;
  }

  // An entry of case.json's "tolerance"; "1e-4*max|ref tensor|" reads as a multiple of the expected tensor's maximum.
  Tolerance tolerance(const std::string& key) const {
    const Value& entry = field(field(info_, "tolerance"), key);
    Tolerance tolerance;
    if (has_field(entry, "rtol")) tolerance.rtol = number(entry, "rtol");
    if (!has_field(entry, "atol")) return tolerance;
    const Value& atol = field(entry, "atol");
    if (const auto* formula = atol.as<std::string>()) {
      tolerance.atol_of_max = std::strtod(formula->c_str(), nullptr);
    } else {
      tolerance.atol = as<double>(atol);
    }
    return tolerance;
  }

  void check(const std::string& name, const at::Tensor& got, const at::Tensor& expected, const Tolerance& tolerance) {
    if (!got.defined() || got.sizes() != expected.sizes()) {
      std::fprintf(stderr, "%s: shapes differ\n", name.c_str());
      report(name, kEndless, 0);
      return;
    }
    if (expected.numel() == 0) {
      report(name, 0, 0);
      return;
    }
    const auto a = got.detach().to(at::kCPU, at::kDouble);
    const auto b = expected.to(at::kDouble);
    // An expected infinity or NaN must be met exactly; elsewhere a non-finite value is an infinite error.
    const auto same = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));
    const auto error = at::nan_to_num((a - b).abs(), kEndless, kEndless).masked_fill(same, 0).reshape(-1);
    const auto size = at::nan_to_num(b.abs(), 0, 0);
    const double floor = tolerance.atol + tolerance.atol_of_max * size.max().item<double>();
    const auto limit = (size * tolerance.rtol + floor).reshape(-1);
    const auto worst = (error - limit).argmax().item<std::int64_t>();
    report(name, error[worst].item<double>(), limit[worst].item<double>());
  }
  void check(const std::string& name, const at::Tensor& got, const at::Tensor& expected, double rtol, double atol) {
    check(name, got, expected, Tolerance{rtol, atol, 0});
  }
  // Against the case's own tensor of that name.
  void check(const std::string& name, const at::Tensor& got, const Tolerance& tolerance) {
    check(name, got, io(name), tolerance);
  }
  void check(const std::string& name, double got, double expected, double rtol, double atol) {
    check(name, at::scalar_tensor(got, at::kDouble), at::scalar_tensor(expected, at::kDouble), Tolerance{rtol, atol, 0});
  }

  // For a property that is not a distance of two tensors: `error` of at most `limit` passes.
  void report(const std::string& name, double error, double limit) {
    const bool ok = error <= limit;
    std::printf("{\"name\":\"%s\",\"max_error\":%.6g,\"limit\":%.6g,\"ok\":%s}\n", name.c_str(), error, limit,
                ok ? "true" : "false");
    ++compared_;
    failed_ += ok ? 0 : 1;
  }

  // Prints the last line; true when something was compared and nothing failed.
  bool finish() const {
    std::printf("{\"case\":\"%s\",\"compared\":%d,\"failed\":%d}\n", text(info_, "case").c_str(), compared_, failed_);
    return compared_ > 0 && failed_ == 0;
  }

 private:
  static constexpr double kEndless = 1e300;

  Value info_;
  TensorMap io_, weights_;
  int compared_ = 0;
  int failed_ = 0;
};

// main of every parity program: exit code 0 when all agreed, 1 when not, 2 when the program could not run.
inline int run_case(int argc, char** argv, const std::function<void(Case&)>& body) {
  try {
    if (argc != 2) throw std::runtime_error("usage: PROGRAM CASE_FOLDER");
    Case parity(argv[1]);
    body(parity);
    return parity.finish() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

}  // namespace cellsam::test
