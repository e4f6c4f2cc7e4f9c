#include "weights/file.h"

#include <new>
#include <utility>

#include "engine.h"

namespace cellsam::weights {
namespace {

constexpr std::int64_t kLargestFile = std::int64_t{64} << 30;
constexpr std::align_val_t kAlignment{64};

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw Error("ERR_CHECKPOINT_READ", "cannot read " + path + ": " + why, {{"path", path}});
}

[[noreturn]] void unwritable(const std::string& path, const std::system_error& why) {
  throw Error("ERR_CHECKPOINT_WRITE", "cannot write " + path + " (" + why.what() + ")", {{"path", path}});
}

}  // namespace

FileBytes::FileBytes(const std::string& path) : path_(path) {
  std::error_code error;
  const os::File file(path, os::Access::read, error);
  const auto size = file ? file.size(error) : 0;
  if (error) unreadable(path, error.message());
  if (!file.is_regular()) unreadable(path, "it is not a regular file");
  if (size > kLargestFile) unreadable(path, "it is larger than 64 GiB, which no checkpoint is");
  size_ = static_cast<std::size_t>(size);
  auto* bytes = static_cast<char*>(::operator new(size_ + 1, kAlignment, std::nothrow));
  if (bytes == nullptr) throw Error("ERR_OUT_OF_MEMORY", path + ": no memory for " + std::to_string(size_) + " bytes");
  data_ = std::shared_ptr<char>(bytes, [](char* data) { ::operator delete(data, kAlignment); });
  const auto read = file.read(bytes, size, 0, error);
  if (error) unreadable(path, error.message());
  if (read != size) unreadable(path, "it became shorter while it was read");
}

CheckpointFile::CheckpointFile(const std::string& path) try : file_(path) {
} catch (const std::system_error& error) {
  unwritable(path, error);
}

void CheckpointFile::write(const void* data, std::size_t size) try {
  file_.write(data, static_cast<std::int64_t>(size), written_);
  sha256_.update(data, size);
  written_ += static_cast<std::int64_t>(size);
} catch (const std::system_error& error) {
  unwritable(file_.path(), error);
}

WrittenFile CheckpointFile::commit() try {
  file_.commit();
  return {file_.path(), written_, sha256_.hex()};
} catch (const std::system_error& error) {
  unwritable(file_.path(), error);
}

}  // namespace cellsam::weights
