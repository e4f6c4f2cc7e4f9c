// The parts of the Windows API that the halves of this room share.
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

// What the last call of this thread that failed says: a code of std::generic_category() where it has one, whose messages are
// not in the language of the system.
inline std::error_code last_error() {
  const std::error_code code(static_cast<int>(GetLastError()), std::system_category());
  const auto condition = code.default_error_condition();
  if (condition.category() == std::generic_category()) return {condition.value(), condition.category()};
  return code;
}

// For calls with a W: absolute, and in the form that has no limit of 260 characters.
std::wstring wide_path(const std::string& utf8);

}  // namespace cellsam::os
