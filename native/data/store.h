// A store of tiles: a file that is written once, then memory-mapped read-only and shared by all
// folds, epochs and trials. The file (little endian) is a header of 64 bytes, the tiles at equal
// distances, and the index: settings, sources, and an entry with a checksum for each tile. The header
// is written last and the file gets its name last, so that a file that can be opened is whole.
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

// One tile of a store. The tensors are views of the read-only mapping, which they keep alive: never write to them.
struct Sample {
  at::Tensor image;           // u8 [3,T,T]
  at::Tensor labels;          // i32 [T,T]
  std::int64_t source = 0;    // index for source_name
  std::int64_t y = 0, x = 0;  // of the tile's first pixel in the source; negative in the padding
  Rect valid;                 // the part that is not padding
};

using Settings = std::map<std::string, std::string>;

// Writes a store. There is no file of the name `path` before finish(). The destructor removes the temporary file if finish()
// was not called. Throws ERR_IO for errors of the system, ERR_STATE for calls after finish().
class StoreWriter {
 public:
  StoreWriter(const std::string& path, std::int64_t tile_size, Settings settings);
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // Appends the tiles of one source and returns the index of the first. An error leaves the store as it was.
  std::int64_t add(Source source, const std::vector<Tile>& tiles);
  // Writes the index and gives the file its name. Returns its size in bytes.
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

// Reads a store. Every method may be called from any thread at any time.
class Store {
 public:
  // Throws ERR_IO when the file cannot be read, ERR_STORE_CORRUPT when it is no store, of another version, or damaged.
  explicit Store(const std::string& path);

  std::int64_t size() const;       // tiles
  std::int64_t tile_size() const;  // T
  // Verifies the tile's checksum when it is read for the first time. Throws ERR_STORE_CORRUPT, which names the source, and
  // ERR_INVALID_ARGUMENT for an index out of range.
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
