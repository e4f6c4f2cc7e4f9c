#include "os/library.h"
#include "os/path.h"
#include "os/windows.h"

namespace cellsam::os {
namespace {

std::string reason_of(const std::string& path) {
  const auto code = GetLastError();
  // Windows does not say which library is missing.
  if (code == ERROR_MOD_NOT_FOUND && std::filesystem::exists(path_of(path))) {
    return "a library that it needs is missing, such as the Visual C++ runtime (vcruntime140.dll, msvcp140.dll)";
  }
  return std::error_code(static_cast<int>(code), std::system_category()).message();
}

}  // namespace

// The libraries that it needs are searched for in its folder and in those of the system, never in the working folder.
void* open_library(const std::string& path, Symbols, std::string& why) {
  const bool named = path_of(path).has_parent_path();
  const DWORD where =
      named ? LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS : LOAD_LIBRARY_SEARCH_SYSTEM32;
  auto* library = LoadLibraryExW(named ? wide_path(path).c_str() : path_of(path).c_str(), nullptr, where);
  if (library == nullptr) why = reason_of(path);
  return library;
}

void* find_symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

bool is_open(const std::string& file_name) { return GetModuleHandleW(path_of(file_name).c_str()) != nullptr; }

std::string library_at(const void* address) {
  HMODULE library = nullptr;
  const DWORD how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (GetModuleHandleExW(how, static_cast<LPCWSTR>(address), &library) == FALSE) return "";
  std::wstring path(MAX_PATH, L'\0');
  for (;;) {
    const auto length = GetModuleFileNameW(library, path.data(), static_cast<DWORD>(path.size()));
    if (length < path.size()) return text_of(path.substr(0, length));
    path.resize(2 * path.size());
  }
}

std::string library_file(const std::string& name) { return name + ".dll"; }

}  // namespace cellsam::os
