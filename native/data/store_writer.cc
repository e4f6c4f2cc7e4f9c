#include <ATen/ATen.h>

#include <cstring>

#include "data/store.h"
#include "data/store_format.h"
#include "engine.h"

namespace cellsam::data {
namespace {

[[noreturn]] void unwritable(const std::string& path, const std::system_error& why) {
  throw Error("ERR_IO", "tile store: cannot write " + path + " (" + why.what() + ")", {{"path", path}});
}

}  // namespace

struct StoreWriter::Entry {
  std::int64_t source, y, x;
  Rect valid;
  std::uint64_t checksum;
};

StoreWriter::StoreWriter(const std::string& path, std::int64_t tile_size, Settings settings) try
    : file_(path), tile_size_(tile_size), settings_(std::move(settings)) {
  if (tile_size < 1 || tile_size > 1 << 15) throw Error("ERR_INVALID_ARGUMENT", "tile_size must be in 1..32768");
} catch (const std::system_error& error) {
  unwritable(path, error);
}

StoreWriter::~StoreWriter() = default;

std::int64_t StoreWriter::size() const { return static_cast<std::int64_t>(entries_.size()); }
std::int64_t StoreWriter::sources() const { return static_cast<std::int64_t>(sources_.size()); }

void StoreWriter::write(const void* data, std::size_t bytes, std::int64_t offset) try {
  file_.write(data, static_cast<std::int64_t>(bytes), offset);
} catch (const std::system_error& error) {
  unwritable(path(), error);
}

std::int64_t StoreWriter::add(Source source, const std::vector<Tile>& tiles) {
  if (file_.committed()) throw Error("ERR_STATE", "tile store: nothing can be added after finish");
  const auto area = static_cast<std::size_t>(tile_size_ * tile_size_);
  std::string bytes(tile_pitch(tile_size_), '\0');
  std::vector<Entry> added;
  for (const auto& tile : tiles) {
    if (tile.labels.numel() != static_cast<std::int64_t>(area) || tile.image.numel() != static_cast<std::int64_t>(3 * area)) {
      throw Error("ERR_INVALID_ARGUMENT", "tile store: a tile is not of the store's size");
    }
    std::memcpy(bytes.data(), tile.labels.contiguous().data_ptr<std::int32_t>(), 4 * area);
    std::memcpy(bytes.data() + 4 * area, tile.image.contiguous().data_ptr<std::uint8_t>(), 3 * area);
    write(bytes.data(), bytes.size(), tile_offset(tile_size_, size() + static_cast<std::int64_t>(added.size())));
    added.push_back({sources(), tile.y, tile.x, tile.valid, checksum(bytes.data(), bytes.size())});
  }
  const auto first = size();
  entries_.insert(entries_.end(), added.begin(), added.end());
  sources_.push_back(std::move(source));
  return first;
}

std::int64_t StoreWriter::finish() try {
  if (file_.committed()) throw Error("ERR_STATE", "tile store: already finished");
  std::string index;
  put(index, static_cast<std::int64_t>(settings_.size()));
  for (const auto& [name, value] : settings_) {
    put(index, name);
    put(index, value);
  }
  put(index, sources());
  for (const auto& source : sources_) {
    put(index, source.name);
    put(index, source.height);
    put(index, source.width);
  }
  for (const auto& entry : entries_) {
    for (auto number : {entry.source, entry.y, entry.x, entry.valid.y, entry.valid.x, entry.valid.height, entry.valid.width,
                        static_cast<std::int64_t>(entry.checksum)}) {
      put(index, number);
    }
  }
  StoreHeader header;
  header.tile_size = static_cast<std::uint32_t>(tile_size_);
  header.tiles = size();
  header.index_offset = tile_offset(tile_size_, size());
  header.index_bytes = static_cast<std::int64_t>(index.size());
  header.index_checksum = checksum(index.data(), index.size());
  header.checksum = checksum(&header, offsetof(StoreHeader, checksum));
  write(index.data(), index.size(), header.index_offset);
  write(&header, sizeof(header), 0);
  file_.commit();
  return header.index_offset + header.index_bytes;
} catch (const std::system_error& error) {
  unwritable(path(), error);
}

}  // namespace cellsam::data
