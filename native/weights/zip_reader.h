// Reads the zip archive of a .pth file in memory. libtorch's PyTorchStreamReader checks no CRC (with it a quarter of files with
// one changed byte loaded without an error) and inflates compressed records of any size. Here every record must be stored
// uncompressed, lie within the file, overlap no other, agree with its local header and match its CRC-32.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace cellsam::weights {

class ZipReader {
 public:
  // `file` must outlive the reader. Throws ERR_CHECKPOINT_CORRUPT, and
  // ERR_CHECKPOINT_FORMAT for compressed or encrypted records.
  explicit ZipReader(std::string_view file);

  const std::map<std::string_view, std::string_view>& records() const { return records_; }
  // The bytes of a record, or null.
  const std::string_view* find(const std::string& name) const;

 private:
  struct Directory {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint64_t entries = 0;
  };

  Directory find_directory() const;
  // Reads the entry of the directory at offset `at` and returns the offset of the next one.
  std::uint64_t read_entry(std::uint64_t at, const Directory& directory);
  std::uint64_t number(std::uint64_t at, int bytes) const;

  std::string_view file_;
  std::map<std::string_view, std::string_view> records_;
  std::map<std::uint64_t, std::uint64_t> ranges_;  // from the local header to the end of the data
  std::uint64_t claimed_ = 0;                      // sum of the sizes of the records
};

}  // namespace cellsam::weights
