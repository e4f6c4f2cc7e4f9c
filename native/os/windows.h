// What the files for Windows share.
#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <string>
#include <system_error>

namespace cellsam::os {

// The error of this thread's last failed call: a code of std::generic_category() where it has one, whose messages are in
// English and not in the language of the system.
inline std::error_code last_error() {
  const std::error_code code(static_cast<int>(GetLastError()), std::system_category());
  const auto condition = code.default_error_condition();
  if (condition.category() == std::generic_category()) return {condition.value(), condition.category()};
  return code;
}

// A path for functions whose names end with W: absolute, and in the form without the limit of 260 characters.
std::wstring wide_path(const std::string& utf8);

}  // namespace cellsam::os
