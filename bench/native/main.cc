// The product's side of `npm run bench`: a line of JSON comes in, a line goes out, so that the harness decides when each side
// computes. {op: "fixture" | "open", row, folder, device, precision, threads, parameters}, then {op: "check"},
// {op: "run", times} -> {wall, cpu} seconds of each, {op: "peak"} -> {bytes}, until stdin ends.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>

#include "device/device_memory.h"
#include "parity/json.h"
#include "row.h"

namespace cellsam::bench {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char sign : text) {
    if (sign == '"' || sign == '\\') out += '\\';
    out += sign == '\n' ? ' ' : sign;
  }
  return out + '"';
}

std::string to_json(const Value& value) {
  if (const auto* fact = value.as<bool>()) return *fact ? "true" : "false";
  if (const auto* text = value.as<std::string>()) return quoted(*text);
  if (const auto* number = value.as<double>()) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.17g", *number);
    return buffer;
  }
  std::string out;
  if (const auto* dict = value.as<Dict>()) {
    for (const auto& [name, item] : *dict) out += (out.empty() ? "" : ",") + quoted(name) + ":" + to_json(item);
    return "{" + out + "}";
  }
  return "null";
}

// CUDA's half of libtorch and our kernels, before the first tensor, as the package's loader does it. CELLSAM_BENCH_CUDA holds
// the path of libcellsam_cuda, or "none" where it is not built; without it this process stays on the CPU.
void load_cuda() {
  const char* kernels = std::getenv("CELLSAM_BENCH_CUDA");
  if (kernels == nullptr) return;
  for (const std::string path : {"libtorch_cuda.so", kernels}) {
    if (path != "none" && dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  }
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double wall_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// What the making of a row left behind is no part of its peak.
void reset_peak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
}

std::int64_t peak_of_process() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

class Program {
 public:
  Program() {
    for (const auto& file : {encoder_rows(), loss_rows(), stage_rows(), inference_rows(), tile_rows()}) {
      makers_.insert(file.begin(), file.end());
    }
  }

  Dict respond(const Value& request) {
    Options options(request, "bench");
    const auto op = options.require_text("op");
    if (op == "fixture" || op == "open") return make(options, op);
    if (op == "peak") return {{"bytes", peak()}};
    if (!row_) throw Error("ERR_STATE", "open a row first");
    if (op == "check") return timed([&] { return row_->check(); });
    if (op == "run") return run(options.integer("times", 1));
    throw Error("ERR_INVALID_ARGUMENT", "unknown op " + op);
  }

 private:
  Dict make(Options& options, const std::string& op) {
    const auto name = options.require_text("row");
    const auto maker = makers_.find(name);
    if (maker == makers_.end()) throw Error("ERR_INVALID_ARGUMENT", "there is no row " + name);
    device_ = device::parse_device(options.text("device", "cpu"));
    const auto precision = device::parse_precision(options.text("precision", "fp32"), device_);
    const Setting setting{options.require_text("folder"), device_, precision};
    device::prepare_thread({.threads = options.integer("threads", 1)});
    const auto* given = options.value("parameters");
    Options parameters(given != nullptr ? *given : Value(), name);
    if (op == "fixture") {
      maker->second.fixture(setting, parameters);
    } else {
      row_ = maker->second.open(setting, parameters);
    }
    parameters.done();
    reset_peak();
    if (device_.is_cuda()) device_memory("device.reset_peak");
    return {};
  }

  template <class Work>
  Dict timed(Work work) {
    wait();
    const double wall = wall_seconds(), cpu = cpu_seconds();
    Dict result = work();
    wait();
    result["wall"] = wall_seconds() - wall;
    result["cpu"] = cpu_seconds() - cpu;
    return result;
  }

  Dict run(std::int64_t times) {
    auto result = timed([&] {
      for (std::int64_t i = 0; i < times; ++i) row_->run();
      return Dict{};
    });
    for (auto& [name, seconds] : result) seconds = *seconds.as<double>() / static_cast<double>(times);
    return result;
  }

  void wait() const {
    if (device_.is_cuda()) c10::impl::getDeviceGuardImpl(device_.type())->synchronizeDevice(device_.index());
  }

  Value device_memory(const std::string& command) const {
    Options where(Dict{{"device", device_.str()}}, command);
    return device::call_device(command, where);
  }

  Value peak() const {
    if (!device_.is_cuda()) return peak_of_process();
    const auto memory = device_memory("device.memory");
    const auto* dict = memory.as<Dict>();
    return dict != nullptr ? dict->at("max_allocated") : Value();
  }

  std::map<std::string, Maker> makers_;
  std::unique_ptr<Row> row_;
  at::Device device_ = at::kCPU;
};

}  // namespace
}  // namespace cellsam::bench

int main() {
#ifdef __GLIBC__
  // As the addon does (native/binding/module.cc): this program stands in for it.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
  cellsam::bench::load_cuda();
  cellsam::bench::Program program;
  for (std::string line; std::getline(std::cin, line);) {
    std::string result;
    try {
      result = cellsam::bench::to_json(program.respond(cellsam::test::JsonReader(line).read()));
    } catch (const std::exception& error) {
      result = cellsam::bench::to_json(cellsam::Dict{{"error", error.what()}});
    }
    std::cout << result << std::endl;
  }
  return 0;
}
