#include "engine/cuda_library.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string_view>

namespace cellsam::engine {
namespace {

constexpr std::string_view kNamespace = "cellsam_cuda::", kEngine = "cellsam_engine", kLibrary = "cellsam_cuda";

std::string reason = "not looked for";  // why it is not loaded; empty when it is

std::string open_library() {
#ifdef __linux__
  const char* choice = std::getenv("CELLSAM_CUDA_KERNELS");
  if (choice != nullptr && std::string_view(choice) == "0") return "switched off by CELLSAM_CUDA_KERNELS=0";
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD) == nullptr) return "this libtorch has no CUDA";
  Dl_info own{};
  if (dladdr(reinterpret_cast<void*>(&load_cuda_library), &own) == 0) return "the engine's own path is not known";
  const std::filesystem::path engine(own.dli_fname);
  auto name = engine.filename().string();
  const auto at = name.find(kEngine);
  if (at == std::string::npos) return "the engine is not a library of its own";
  const auto path = engine.parent_path() / name.replace(at, kEngine.size(), kLibrary);
  if (!std::filesystem::exists(path)) return path.string() + " is not there";
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return "";
  const char* error = dlerror();
  return error != nullptr ? error : path.string() + " cannot be loaded";
#else
  return "there is no CUDA on this platform";
#endif
}

}  // namespace

void load_cuda_library() {
  static std::once_flag once;
  std::call_once(once, [] { reason = open_library(); });
}

Value describe_cuda_library() {
  if (!reason.empty()) return reason;
  List names;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.starts_with(kNamespace)) names.emplace_back(name.name.substr(kNamespace.size()));
  }
  return names;
}

}  // namespace cellsam::engine
