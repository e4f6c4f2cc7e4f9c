#include "loader.h"

#include <cstdint>
#include <mutex>

#include "os/library.h"
#include "os/path.h"
#include "os/process.h"

namespace cellsam::binding {

namespace {

std::mutex loading;
std::string loaded_path;   // under loading
Engine* loaded = nullptr;  // under loading

void* open(const std::string& path, os::Symbols symbols) {
  std::string why;
  auto* library = os::open_library(path, symbols, why);
  if (library == nullptr) {
    throw Error("ERR_NATIVE_LOAD", "cannot load " + path + ": " + why + ". Run `npx cellsam doctor`.", {{"path", path}});
  }
  return library;
}

// Asks the library for its version. The folder's name may be wrong, and an engine that was built for another minor version
// loads without a missing symbol and aborts later (an engine of 2.13 did on 2.14).
void check_version(void* torch_cpu, const EngineFiles& files) {
  using AbiVersion = std::uint64_t (*)();
  auto* ask = reinterpret_cast<AbiVersion>(os::find_symbol(torch_cpu, "aoti_torch_abi_version"));
  std::string version = "older than 2.11";
  if (ask != nullptr) {
    const auto packed = ask();  // major, minor, patch in the three highest bytes
    version = std::to_string(packed >> 56) + "." + std::to_string((packed >> 48) & 0xff);
  }
  if (version == files.torch) return;
  throw Error("ERR_LIBTORCH_VERSION",
              "the libtorch in " + files.libtorch + " is " + version + ", but the engine was built for " + files.torch +
                  ". Run `npx cellsam setup` for one that fits.",
              {{"libtorch", files.libtorch}, {"version", version}, {"built", files.torch}});
}

// Opens the libraries by absolute path, so that no search path matters, and with global
// symbols, so that the engine uses exactly these. libtorch_cuda follows libtorch_cpu
// and precedes the first tensor: its kernels register themselves when it is loaded.
void load_libtorch(const EngineFiles& files) {
  const auto file = [&](const char* name) {
    return os::text_of(os::path_of(files.libtorch) / "lib" / os::path_of(os::library_file(name)));
  };
  const auto exists = [](const std::string& path) { return std::filesystem::exists(os::path_of(path)); };
  if (!exists(file("torch_cpu"))) {
    throw Error("ERR_LIBTORCH_NOT_FOUND", "no libtorch in " + files.libtorch + ". Type: npx cellsam setup",
                {{"libtorch", files.libtorch}, {"command", "npx cellsam setup"}});
  }
  // How long OpenMP threads spin at a barrier before they sleep: about as long as it takes to wake one. libgomp's own default
  // is a hundred times that, and beside other work a thread that spins takes the core from the one that it waits for: with
  // 5000, steps of `tiny` took two to three times as long as with 1000 (docs/performance.md).
  if (!os::environment("OMP_WAIT_POLICY")) os::set_default_environment("GOMP_SPINCOUNT", "1000");
  open(file("c10"), os::Symbols::shared);
  check_version(open(file("torch_cpu"), os::Symbols::shared), files);
  if (!exists(file("torch_cuda"))) return;
#if defined(__linux__)
  // The number of prompts is another one in each step, and fixed segments of memory leave gaps that nothing fits.
  if (!os::environment("PYTORCH_CUDA_ALLOC_CONF")) {
    os::set_default_environment("PYTORCH_ALLOC_CONF", "expandable_segments:True");
  }
#endif
  open(file("torch_cuda"), os::Symbols::shared);
}

}  // namespace

void load_engine(const EngineFiles& files) {
  std::lock_guard lock(loading);
  if (loaded != nullptr) {
    if (loaded_path == files.engine) return;
    throw Error("ERR_NATIVE_LOAD",
                "this process already runs the engine " + loaded_path + "; start another for " + files.engine,
                {{"loaded", loaded_path}, {"asked", files.engine}});
  }
  if (!files.libtorch.empty()) load_libtorch(files);
  auto* library = open(files.engine, os::Symbols::own);
  const auto entry = reinterpret_cast<EngineEntry>(os::find_symbol(library, kEngineEntryName));
  auto* engine = entry == nullptr ? nullptr : entry(kEngineAbi);
  if (engine == nullptr) {
    throw Error("ERR_NATIVE_LOAD", files.engine + " does not belong to this version of the package; reinstall it",
                {{"path", files.engine}});
  }
  loaded = engine;
  loaded_path = files.engine;
}

Engine& loaded_engine() {
  std::lock_guard lock(loading);
  if (loaded == nullptr) throw Error("ERR_NATIVE_LOAD", "the engine is not loaded; call loadEngine first");
  return *loaded;
}

}  // namespace cellsam::binding
