// Tiles on disk: written once, then memory-mapped read-only and shared by all folds, epochs and trials. Layout (little
// endian): a 64-byte prelude, the tiles at a fixed pitch, then the index (settings, sources, one entry with a checksum per
// tile). The prelude is written last, the file takes its name last: what can be opened is complete.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/tile.h"
#include "os/atomic_file.h"

namespace cellsam::data {

struct Source {
  std::string name;
  std::int64_t height = 0, width = 0;  // of the whole image
};

// One tile of a store. The tensors are views on the read-only map: never write to them. They keep the map alive.
struct Sample {
  at::Tensor image;           // u8 [3,T,T]
  at::Tensor labels;          // i32 [T,T]
  std::int64_t source = 0;    // index for source_name
  std::int64_t y = 0, x = 0;  // of the tile's first pixel in the source; negative in the padding
  Rect valid;                 // what of the tile is not padding
};

using Settings = std::map<std::string, std::string>;

// Writes one store. Nothing is visible under `path` before finish(); destroyed without it, the temporary file is removed.
// I/O failures throw ERR_IO, calls after finish() ERR_STATE.
class StoreWriter {
 public:
  StoreWriter(const std::string& path, std::int64_t tile_size, Settings settings);
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // Appends the tiles of one source and returns the index of the first. After an error the store is as it was before.
  std::int64_t add(Source source, const std::vector<Tile>& tiles);
  // Index, fsync, rename. Returns the file's size in bytes.
  std::int64_t finish();

  std::int64_t size() const;     // tiles so far
  std::int64_t sources() const;  // sources so far
  const std::string& path() const { return file_.path(); }

 private:
  struct Entry;
  void write(const void* data, std::size_t bytes, std::int64_t offset);

  os::AtomicFile file_;
  std::int64_t tile_size_;
  Settings settings_;
  std::vector<Source> sources_;
  std::vector<Entry> entries_;
};

// Reads one store. Every method may be called from any thread at any time.
class Store {
 public:
  // ERR_IO when the file cannot be read; ERR_STORE_CORRUPT when it is no store, of another version, or damaged.
  explicit Store(const std::string& path);

  std::int64_t size() const;       // tiles
  std::int64_t tile_size() const;  // T
  // The tile's checksum is verified at its first use: ERR_STORE_CORRUPT names the source. ERR_INVALID_ARGUMENT out of range.
  Sample sample(std::int64_t i) const;

  std::int64_t sources() const;
  const std::string& source_name(std::int64_t source) const;
  const Source& source(std::int64_t source) const;
  const Settings& settings() const;

 private:
  struct File;
  std::shared_ptr<File> file_;
};

}  // namespace cellsam::data
