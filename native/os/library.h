// Shared libraries that are opened at run time. They stay open until the process ends.
#pragma once

#include <string>

namespace cellsam::os {

// Whether only the caller can use the symbols of a library, or also libraries that are opened after it. Without effect on
// Windows, where each library names those that it takes symbols from.
enum class Symbols { own, shared };

// Opens a library by its path, or by its name if the system knows it. Returns null, and the reason in `why`, on failure.
void* open_library(const std::string& path, Symbols symbols, std::string& why);
inline void* open_library(const std::string& path) {
  std::string ignored;
  return open_library(path, Symbols::own, ignored);
}

// The address of a symbol; null if the library has no such symbol.
void* find_symbol(void* library, const char* name);

// Whether this process has a library of this file name open.
bool is_open(const std::string& file_name);

// The path of the library that contains this address; empty where it is not known.
std::string library_at(const void* address);

// libNAME.so, libNAME.dylib, NAME.dll.
std::string library_file(const std::string& name);

}  // namespace cellsam::os
