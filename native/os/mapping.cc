#include "os/mapping.h"

#include <algorithm>

namespace cellsam::os {

// In mapping_posix.cc and mapping_windows.cc.
namespace detail {
char* map(const File& file, std::int64_t offset, std::int64_t bytes, std::error_code& error);
void unmap(char* data, std::int64_t bytes);
void give_back(char* data, std::int64_t bytes);
std::int64_t page_size();
}  // namespace detail

Mapping::Mapping(const File& file, std::int64_t offset, std::int64_t bytes, std::error_code& error) {
  const auto available = std::min(bytes, file.size(error) - offset);
  if (error || available <= 0) return;
  data_ = detail::map(file, offset, available, error);
  if (data_ != nullptr) bytes_ = available;
}

Mapping::~Mapping() {
  if (data_ != nullptr) detail::unmap(data_, bytes_);
}

void Mapping::forget(std::int64_t offset, std::int64_t bytes) const {
  const auto page = detail::page_size();
  const auto first = (offset + page - 1) / page * page, end = std::min(offset + bytes, bytes_) / page * page;
  if (first < end) detail::give_back(data_ + first, end - first);
}

}  // namespace cellsam::os
