#include "base/fresh_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <random>

namespace cellsam {

FreshFile create_beside(const std::string& target) {
  std::random_device source;
  FreshFile file;
  do {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%08x%08x", static_cast<unsigned>(source()), static_cast<unsigned>(source()));
    file.path = target + "." + digits + ".tmp";
    file.descriptor = ::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file.descriptor < 0 && errno == EEXIST);
  return file;
}

}  // namespace cellsam
