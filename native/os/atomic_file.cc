#include "os/atomic_file.h"

#include <cstdio>
#include <random>

namespace cellsam::os {
namespace {

void insist(bool done, const char* step, const std::error_code& error) {
  if (!done) throw std::system_error(error, step);
}

}  // namespace

// The other name is random: a process that was killed leaves its file behind, and in a container the next run has the same
// process id, so a name made of that would be taken for ever.
AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  std::random_device source;
  std::error_code error;
  do {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%08x%08x", static_cast<unsigned>(source()), static_cast<unsigned>(source()));
    temporary_ = path_ + "." + digits + ".tmp";
    file_ = File(temporary_, Access::create, error);
  } while (error == std::errc::file_exists);
  insist(!error, "create", error);
}

AtomicFile::~AtomicFile() {
  if (committed()) return;
  file_.close();
  std::error_code ignored;
  remove_file(temporary_, ignored);
}

void AtomicFile::write(const void* data, std::int64_t bytes, std::int64_t offset) {
  std::error_code error;
  insist(file_.write(data, bytes, offset, error), "write", error);
}

void AtomicFile::commit() {
  std::error_code error;
  insist(file_.sync(error), "sync", error);
  insist(replace_file(temporary_, path_, error), "rename", error);
  file_.close();
  insist(sync_folder_of(path_, error), "sync of the folder", error);
}

}  // namespace cellsam::os
