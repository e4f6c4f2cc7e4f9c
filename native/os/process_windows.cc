#include <cstdlib>

#include "os/process.h"
#include "os/windows.h"

namespace cellsam::os {

void lower_thread_priority() { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_BELOW_NORMAL); }

// Not getenv(), which reads the C library's copy from the time when that was loaded. Our names and values are ASCII.
std::optional<std::string> environment(const char* name) {
  std::string value(256, '\0');
  for (;;) {
    SetLastError(ERROR_SUCCESS);
    const auto length = GetEnvironmentVariableA(name, value.data(), static_cast<DWORD>(value.size()));
    if (length == 0 && GetLastError() == ERROR_ENVVAR_NOT_FOUND) return std::nullopt;
    if (length < value.size()) return value.substr(0, length);
    value.resize(length);
  }
}

// Sets it in the process and in the C library's copy.
void set_default_environment(const char* name, const char* value) {
  if (!environment(name)) _putenv_s(name, value);
}

}  // namespace cellsam::os
