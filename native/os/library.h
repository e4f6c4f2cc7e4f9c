// Shared libraries that are found at run time. What was opened stays open until the process ends.
#pragma once

#include <string>

namespace cellsam::os {

// Who may bind to a library's symbols: whoever opened it, or all that are opened after it too (POSIX; on Windows every
// library names those it takes symbols from).
enum class Symbols { own, shared };

// Opens a library by its path, or by its name where the system keeps it; null when it cannot, and `why` says the reason.
void* open_library(const std::string& path, Symbols symbols, std::string& why);
inline void* open_library(const std::string& path) {
  std::string ignored;
  return open_library(path, Symbols::own, ignored);
}

// Null when the library has no such symbol.
void* find_symbol(void* library, const char* name);

// Whether this process has a library of this file name open.
bool is_open(const std::string& file_name);

// The path of the library that holds this address; empty where it is not known.
std::string library_at(const void* address);

// libNAME.so, libNAME.dylib, NAME.dll.
std::string library_file(const std::string& name);

}  // namespace cellsam::os
