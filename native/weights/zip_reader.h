// The zip container of a .pth file, read from memory. Stricter than libtorch's PyTorchStreamReader, which checks no CRC (a
// quarter of single-byte flips loaded silently wrong) and inflates compressed records of any size: here every record is
// stored, lies inside the file, overlaps no other, agrees with its local header and matches its CRC-32.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace cellsam::weights {

class ZipReader {
 public:
  // `file` must outlive the reader. Throws ERR_CHECKPOINT_CORRUPT, ERR_CHECKPOINT_FORMAT (compressed or encrypted).
  explicit ZipReader(std::string_view file);

  const std::map<std::string_view, std::string_view>& records() const { return records_; }
  // Null when there is no such record.
  const std::string_view* find(const std::string& name) const;

 private:
  struct Directory {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint64_t entries = 0;
  };

  Directory find_directory() const;
  // Reads the entry at `at` of the directory and returns where the next one begins.
  std::uint64_t read_entry(std::uint64_t at, const Directory& directory);
  std::uint64_t number(std::uint64_t at, int bytes) const;

  std::string_view file_;
  std::map<std::string_view, std::string_view> records_;
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin of the local header -> end of the data
  std::uint64_t claimed_ = 0;                      // sum of the records' sizes
};

}  // namespace cellsam::weights
