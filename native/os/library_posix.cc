#include <dlfcn.h>

#include "os/library.h"

namespace cellsam::os {

void* open_library(const std::string& path, Symbols symbols, std::string& why) {
  auto* library = dlopen(path.c_str(), RTLD_NOW | (symbols == Symbols::shared ? RTLD_GLOBAL : RTLD_LOCAL));
  if (library == nullptr) {
    const char* reason = dlerror();
    why = reason == nullptr ? "unknown reason" : reason;
  }
  return library;
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

bool is_open(const std::string& file_name) { return dlopen(file_name.c_str(), RTLD_NOW | RTLD_NOLOAD) != nullptr; }

std::string library_at(const void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

std::string library_file(const std::string& name) {
#if defined(__APPLE__)
  return "lib" + name + ".dylib";
#else
  return "lib" + name + ".so";
#endif
}

}  // namespace cellsam::os
