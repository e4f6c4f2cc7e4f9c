#include "fake_cuda/settings.h"

#include <algorithm>
#include <cstdlib>

#include "fake_cuda/clock.h"

namespace fake_cuda {
namespace {

std::string text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::uint64_t number(const std::string& digits, std::uint64_t otherwise) {
  return digits.empty() ? otherwise : std::strtoull(digits.c_str(), nullptr, 10);
}

Settings read() {
  Settings s;
  s.devices = static_cast<int>(std::clamp<std::uint64_t>(number(text("FAKE_CUDA_DEVICES"), kDevices), 1, kDevices));
  s.memory = number(text("FAKE_CUDA_MEMORY_MB"), std::uint64_t{16} << 10) << 20;
  s.report = text("FAKE_CUDA_REPORT");
  s.places = text("FAKE_CUDA_PLACES") == "1";
  s.failing_allocation = number(text("FAKE_CUDA_FAIL_ALLOCATION"), 0);
  const auto failing = text("FAKE_CUDA_FAIL_OPERATOR");
  const auto at = failing.find('@');
  s.failing_operator = failing.substr(0, at);
  s.failing_call = at == std::string::npos ? 1 : number(failing.substr(at + 1), 1);
  s.kernels = text("FAKE_CUDA_KERNELS") != "0";
  return s;
}

}  // namespace

const Settings& settings() {
  static const auto& all = *new Settings(read());
  return all;
}

}  // namespace fake_cuda
