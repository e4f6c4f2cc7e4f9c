#include "os/mapping.h"
#include "os/windows.h"

namespace cellsam::os::detail {

char* map(const File& file, std::int64_t offset, std::int64_t bytes, std::error_code& error) {
  auto* section = CreateFileMappingW(reinterpret_cast<HANDLE>(file.handle()), nullptr, PAGE_READONLY, 0, 0, nullptr);
  void* start = section == nullptr ? nullptr
                                   : MapViewOfFile(section, FILE_MAP_READ, static_cast<DWORD>(offset >> 32),
                                                   static_cast<DWORD>(offset & 0xffffffff), static_cast<SIZE_T>(bytes));
  if (start == nullptr) error = last_error();
  if (section != nullptr) CloseHandle(section);  // the view keeps it open
  return static_cast<char*>(start);
}

void unmap(char* data, std::int64_t) { UnmapViewOfFile(data); }

// For pages that are not locked this means: remove them from the working set.
void give_back(char* data, std::int64_t bytes) { VirtualUnlock(data, static_cast<SIZE_T>(bytes)); }

std::int64_t page_size() {
  SYSTEM_INFO about{};
  GetSystemInfo(&about);
  return about.dwPageSize;
}

}  // namespace cellsam::os::detail
