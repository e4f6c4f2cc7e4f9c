// The bytes of a feature file (feature_file.h), little endian: groups of one index block and 63 payloads. A block has 4096
// bytes: a header, which describes the file in the first block and is empty in the others, and 63 entries, one for each payload
// slot of the group. Slots of a file have one size, that of its payloads rounded up to a multiple of the block.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/checksum.h"

namespace cellsam::cache {

static_assert(std::endian::native == std::endian::little, "feature files are little endian and mapped as they are");

constexpr std::int64_t kBlockBytes = 4096, kEntriesPerBlock = 63;

struct FileHeader {
  std::array<char, 8> magic{'C', 'E', 'L', 'L', 'F', 'E', 'A', 'T'};
  std::uint32_t version = 1;
  std::uint32_t reserved = 0;
  std::int64_t payload_bytes = 0;
  std::array<char, 32> key{};
  std::uint64_t checksum = 0;  // of the 56 bytes above
};
static_assert(sizeof(FileHeader) == 64);

// All zeros: the slot has no entry (yet).
struct IndexEntry {
  ContentHash hash;  // of the image that the payload belongs to
  std::int64_t slot = 0;
  std::uint64_t payload_checksum = 0;
  std::array<std::uint64_t, 3> reserved{};
  std::uint64_t checksum = 0;  // of the 56 bytes above

  bool is_empty() const {
    static const IndexEntry kEmpty{};
    return std::memcmp(this, &kEmpty, sizeof kEmpty) == 0;
  }
};
static_assert(sizeof(IndexEntry) == 64 && sizeof(FileHeader) + kEntriesPerBlock * sizeof(IndexEntry) == kBlockBytes);

// What `record.checksum` has to be.
template <class Record>
std::uint64_t checksum_of(const Record& record) {
  return checksum(&record, offsetof(Record, checksum));
}

}  // namespace cellsam::cache
