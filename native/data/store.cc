#include "data/store.h"

#include <ATen/ATen.h>

#include <atomic>
#include <cstring>

#include "data/store_format.h"
#include "engine.h"
#include "os/mapping.h"

namespace cellsam::data {
namespace {

[[noreturn]] void corrupt(const std::string& path, const std::string& what, Dict detail = {}) {
  detail["path"] = path;
  throw Error("ERR_STORE_CORRUPT", "tile store " + path + " " + what + "; delete it, it will be written again",
              std::move(detail));
}

// Reads numbers and texts of the index, and never past its end.
class IndexReader {
 public:
  IndexReader(const char* from, std::size_t bytes, const std::string& path) : from_(from), left_(bytes), path_(path) {}

  std::int64_t number() {
    std::int64_t number;
    std::memcpy(&number, take(sizeof(number)), sizeof(number));
    return number;
  }
  std::string text() {
    const auto length = number();
    if (length < 0) corrupt(path_, "has a damaged index");
    return std::string(take(static_cast<std::size_t>(length)), static_cast<std::size_t>(length));
  }
  bool at_end() const { return left_ == 0; }

 private:
  const char* take(std::size_t bytes) {
    if (bytes > left_) corrupt(path_, "has a damaged index");
    const auto* here = from_;
    from_ += bytes;
    left_ -= bytes;
    return here;
  }
  const char* from_;
  std::size_t left_;
  const std::string& path_;
};

}  // namespace

struct Store::File {
  struct Entry {
    std::int64_t source, y, x;
    Rect valid;
    std::uint64_t checksum;
  };

  explicit File(const std::string& path) : path(path) {
    std::error_code error;
    const os::File file(path, os::Access::read, error);
    if (file) bytes = file.size(error);
    if (error) throw Error("ERR_IO", "tile store: cannot open " + path + ": " + error.message(), {{"path", path}});
    if (bytes < static_cast<std::int64_t>(sizeof(StoreHeader))) return;
    map = os::Mapping(file, 0, bytes, error);
    if (error) throw Error("ERR_IO", "tile store: cannot map " + path + ": " + error.message(), {{"path", path}});
  }

  void read_index() {
    if (map.bytes() < static_cast<std::int64_t>(sizeof(header))) corrupt(path, "is too short");
    std::memcpy(&header, map.data(), sizeof(header));
    if (header.magic != StoreHeader{}.magic) corrupt(path, "is no tile store");
    if (header.version != StoreHeader{}.version) corrupt(path, "is of version " + std::to_string(header.version));
    if (header.checksum != checksum(&header, offsetof(StoreHeader, checksum))) corrupt(path, "has a damaged header");
    const std::int64_t size = header.tile_size, tiles = header.tiles;
    if (size < 1 || size > 1 << 15 || tiles < 0 || tiles > bytes / tile_pitch(size) ||
        header.index_offset != tile_offset(size, tiles) || header.index_bytes != bytes - header.index_offset) {
      corrupt(path, "is truncated or has the wrong length");
    }
    const char* index = map.data() + header.index_offset;
    const auto index_bytes = static_cast<std::size_t>(header.index_bytes);
    if (header.index_checksum != checksum(index, index_bytes)) corrupt(path, "has a damaged index");

    IndexReader reader(index, index_bytes, path);
    for (auto left = reader.number(); left > 0; --left) {
      auto name = reader.text();
      settings[name] = reader.text();
    }
    for (auto left = reader.number(); left > 0; --left) {
      Source source;
      source.name = reader.text();
      source.height = reader.number();
      source.width = reader.number();
      sources.push_back(std::move(source));
    }
    for (std::int64_t i = 0; i < tiles; ++i) {
      Entry entry{};
      for (auto* number :
           {&entry.source, &entry.y, &entry.x, &entry.valid.y, &entry.valid.x, &entry.valid.height, &entry.valid.width}) {
        *number = reader.number();
      }
      entry.checksum = static_cast<std::uint64_t>(reader.number());
      if (entry.source < 0 || entry.source >= static_cast<std::int64_t>(sources.size())) corrupt(path, "has a damaged index");
      entries.push_back(entry);
    }
    if (!reader.at_end()) corrupt(path, "has a damaged index");
    verified = std::make_unique<std::atomic<bool>[]>(entries.size());
  }

  std::string path;
  std::int64_t bytes = 0;
  os::Mapping map;
  StoreHeader header;
  Settings settings;
  std::vector<Source> sources;
  std::vector<Entry> entries;
  std::unique_ptr<std::atomic<bool>[]> verified;  // for each tile, whether its checksum has been verified
};

Store::Store(const std::string& path) : file_(std::make_shared<File>(path)) { file_->read_index(); }

std::int64_t Store::size() const { return static_cast<std::int64_t>(file_->entries.size()); }
std::int64_t Store::tile_size() const { return file_->header.tile_size; }
std::int64_t Store::sources() const { return static_cast<std::int64_t>(file_->sources.size()); }
const Settings& Store::settings() const { return file_->settings; }
const std::string& Store::source_name(std::int64_t source) const { return this->source(source).name; }

const Source& Store::source(std::int64_t source) const {
  if (source < 0 || source >= sources()) {
    throw Error("ERR_INVALID_ARGUMENT", "tile store has no source " + std::to_string(source));
  }
  return file_->sources[source];
}

Sample Store::sample(std::int64_t i) const {
  if (i < 0 || i >= size()) {
    throw Error("ERR_INVALID_ARGUMENT",
                "tile store has no tile " + std::to_string(i) + ", only 0.." + std::to_string(size() - 1));
  }
  const auto& entry = file_->entries[i];
  const auto side = tile_size();
  auto* start = const_cast<char*>(file_->map.data()) + tile_offset(side, i);  // for from_blob
  if (!file_->verified[i].load(std::memory_order_relaxed)) {
    if (checksum(start, static_cast<std::size_t>(tile_pitch(side))) != entry.checksum) {
      const auto& name = file_->sources[entry.source].name;
      corrupt(file_->path, "has a damaged tile " + std::to_string(i) + " (of " + name + ")", {{"source", name}, {"tile", i}});
    }
    file_->verified[i].store(true, std::memory_order_relaxed);
  }
  auto keep = [file = file_](void*) {};
  return {at::from_blob(start + 4 * side * side, {3, side, side}, keep, at::kByte),
          at::from_blob(start, {side, side}, keep, at::kInt),
          entry.source,
          entry.y,
          entry.x,
          entry.valid};
}

}  // namespace cellsam::data
