#include <cstdlib>

#include "os/process.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace cellsam::os {

void lower_thread_priority() {
#if defined(__linux__)
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10);
#endif
}

std::optional<std::string> environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

void set_default_environment(const char* name, const char* value) { setenv(name, value, /*overwrite=*/0); }

}  // namespace cellsam::os
