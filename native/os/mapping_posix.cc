#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "os/mapping.h"

namespace cellsam::os::detail {

char* map(const File& file, std::int64_t offset, std::int64_t bytes, std::error_code& error) {
  void* start = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ, MAP_SHARED, static_cast<int>(file.handle()), offset);
  if (start != MAP_FAILED) return static_cast<char*>(start);
  error = {errno, std::generic_category()};
  return nullptr;
}

void unmap(char* data, std::int64_t bytes) { munmap(data, static_cast<std::size_t>(bytes)); }

void give_back(char* data, std::int64_t bytes) { madvise(data, static_cast<std::size_t>(bytes), MADV_DONTNEED); }

std::int64_t page_size() { return sysconf(_SC_PAGESIZE); }

}  // namespace cellsam::os::detail
