#include "os/atomic_file.h"

#include <cstdio>
#include <random>

namespace cellsam::os {
namespace {

void require(bool done, const char* step, const std::error_code& error) {
  if (!done) throw std::system_error(error, step);
}

}  // namespace

// The temporary name is random. A killed process leaves its file behind, and in a container the next run has the same process
// id, so that a name made of that would be taken.
AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  std::random_device source;
  std::error_code error;
  do {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%08x%08x", static_cast<unsigned>(source()), static_cast<unsigned>(source()));
    temporary_ = path_ + "." + digits + ".tmp";
    file_ = File(temporary_, Access::create, error);
  } while (error == std::errc::file_exists);
  require(!error, "create", error);
}

AtomicFile::~AtomicFile() {
  if (committed()) return;
  file_.close();
  std::error_code ignored;
  remove_file(temporary_, ignored);
}

void AtomicFile::write(const void* data, std::int64_t bytes, std::int64_t offset) {
  std::error_code error;
  require(file_.write(data, bytes, offset, error), "write", error);
}

void AtomicFile::commit() {
  std::error_code error;
  require(file_.sync(error), "sync", error);
  require(replace_file(temporary_, path_, error), "rename", error);
  file_.close();
  require(sync_folder_of(path_, error), "sync of the folder", error);
}

}  // namespace cellsam::os
