#include "device/cuda_library.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <mutex>
#include <string_view>

#include "os/library.h"
#include "os/path.h"
#include "os/process.h"

namespace cellsam::device {
namespace {

constexpr std::string_view kNamespace = "cellsam_cuda::";

std::string reason = "not looked for";  // why it is not loaded; empty when it is

std::string load() {
#if defined(__linux__)
  if (os::environment("CELLSAM_CUDA_KERNELS") == "0") return "switched off by CELLSAM_CUDA_KERNELS=0";
  if (!os::is_open(os::library_file("torch_cuda"))) return "this libtorch has no CUDA";
  const auto engine = os::path_of(os::library_at(reinterpret_cast<void*>(&load_cuda_library)));
  const auto name = cuda_library_of(os::text_of(engine.filename()), at::detail::getCUDAHooks().versionCUDART() / 1000);
  if (name.empty()) return "the engine is not a library of its own";
  const auto path = engine.parent_path() / os::path_of(name);
  if (!std::filesystem::exists(path)) return os::text_of(path) + " is not there";
  std::string why;
  os::open_library(os::text_of(path), os::Symbols::shared, why);
  return why;
#else
  return "it is made for Linux";
#endif
}

}  // namespace

std::string cuda_library_of(std::string engine, long cuda_major) {
  constexpr std::string_view kEngine = "cellsam_engine", kLibrary = "cellsam_cuda", kSuffix = ".so";
  const auto at = engine.find(kEngine);
  if (at == std::string::npos || !engine.ends_with(kSuffix)) return {};
  engine.replace(at, kEngine.size(), kLibrary);
  return engine.insert(engine.size() - kSuffix.size(), "-cu" + std::to_string(cuda_major));
}

void load_cuda_library() {
  static std::once_flag once;
  std::call_once(once, [] { reason = load(); });
}

Value describe_cuda_library() {
  if (!reason.empty()) return reason;
  List names;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.starts_with(kNamespace)) names.emplace_back(name.name.substr(kNamespace.size()));
  }
  return names;
}

}  // namespace cellsam::device
