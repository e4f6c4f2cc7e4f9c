#include "weights/zip_reader.h"

#include <algorithm>

#include "weights/crc32.h"
#include "weights/fault.h"

namespace cellsam::weights {
namespace {

// Signatures and sizes from PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.3.16.
constexpr std::uint64_t kLocal = 0x04034b50, kLocalSize = 30;
constexpr std::uint64_t kEntry = 0x02014b50, kEntrySize = 46;
constexpr std::uint64_t kEnd = 0x06054b50, kEndSize = 22;
constexpr std::uint64_t kEnd64 = 0x06064b50, kEnd64Size = 56;
constexpr std::uint64_t kLocator = 0x07064b50, kLocatorSize = 20;
constexpr std::uint64_t kMost32 = 0xffffffff, kMost16 = 0xffff;
constexpr std::uint64_t kMostRecords = 1 << 20;

// Nothing is unpacked into a folder, but a name that would leave it shows that somebody has tampered with the file.
bool suspicious(std::string_view name) {
  return name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos || name == ".." ||
         name.starts_with("../") || name.find("/../") != name.npos || name.ends_with("/..");
}

}  // namespace

std::uint64_t ZipReader::number(std::uint64_t at, int bytes) const {
  if (at > file_.size() || file_.size() - at < static_cast<std::uint64_t>(bytes)) corrupt("the zip structure ends too early");
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::uint64_t{static_cast<std::uint8_t>(file_[at + i])} << (8 * i);
  return value;
}

ZipReader::Directory ZipReader::find_directory() const {
  if (file_.size() < kEndSize) corrupt("the zip directory is missing (was the file cut off?)");
  // The end record is at the end of the file; only a comment, whose length it states, may follow.
  const std::uint64_t last = file_.size() - kEndSize;
  const std::uint64_t first = last - std::min(last, kMost16);
  std::uint64_t end = last + 1;
  for (std::uint64_t at = last + 1; at-- > first;) {
    if (number(at, 4) == kEnd && number(at + 20, 2) == last - at) {
      end = at;
      break;
    }
  }
  if (end > last) corrupt("the zip directory is missing (was the file cut off?)");
  if (number(end + 4, 4) != 0 || number(end + 8, 2) != number(end + 10, 2)) corrupt("the zip archive has several parts");

  Directory directory{number(end + 16, 4), number(end + 12, 4), number(end + 10, 2)};
  std::uint64_t limit = end;
  if (end >= kLocatorSize && number(end - kLocatorSize, 4) == kLocator) {
    const auto end64 = number(end - kLocatorSize + 8, 8);
    if (end64 > end - kLocatorSize || end - kLocatorSize - end64 < kEnd64Size || number(end64, 4) != kEnd64) {
      corrupt("the zip64 directory is not where it should be");
    }
    const Directory wide{number(end64 + 48, 8), number(end64 + 40, 8), number(end64 + 32, 8)};
    const auto agrees = [](std::uint64_t narrow, std::uint64_t full, std::uint64_t most) {
      return narrow == full || narrow == most;
    };
    if (!agrees(directory.offset, wide.offset, kMost32) || !agrees(directory.size, wide.size, kMost32) ||
        !agrees(directory.entries, wide.entries, kMost16)) {
      corrupt("the two zip directories disagree");
    }
    directory = wide;
    limit = end64;
  }
  if (directory.offset > limit || limit - directory.offset != directory.size || directory.entries > kMostRecords) {
    corrupt("the zip directory has a wrong place or size");
  }
  return directory;
}

std::uint64_t ZipReader::read_entry(std::uint64_t at, const Directory& directory) {
  const auto directory_end = directory.offset + directory.size;
  if (directory_end - at < kEntrySize || number(at, 4) != kEntry) corrupt("a zip directory entry is broken");
  const auto flags = number(at + 8, 2), method = number(at + 10, 2), sum = number(at + 16, 4);
  std::uint64_t packed = number(at + 20, 4), size = number(at + 24, 4), header = number(at + 42, 4);
  const auto name_size = number(at + 28, 2), extra_size = number(at + 30, 2), comment_size = number(at + 32, 2);
  if (directory_end - at - kEntrySize < name_size + extra_size + comment_size) corrupt("a zip directory entry is broken");
  const auto name = file_.substr(at + kEntrySize, name_size);
  if (suspicious(name)) corrupt("the zip archive holds the name " + printable(name));
  if ((flags & 1) != 0 || method != 0) {
    wrong_format("record " + printable(name) +
                 " is compressed or encrypted, which torch.save never does; save it again with torch.save");
  }

  // Numbers that are too large for the entry are in its zip64 field, in this order.
  for (std::uint64_t field = at + kEntrySize + name_size, end = field + extra_size; end - field >= 4;) {
    const auto id = number(field, 2), length = number(field + 2, 2);
    field += 4;
    if (length > end - field) corrupt("a zip directory entry is broken");
    std::uint64_t wide = field;
    for (auto* value : {&size, &packed, &header}) {
      if (id != 1 || *value != kMost32) continue;
      if (field + length - wide < 8) corrupt("a zip64 field is too short");
      *value = number(wide, 8);
      wide += 8;
    }
    field += length;
  }

  if (packed != size) corrupt("record " + printable(name) + " has two sizes");
  if (header > directory.offset || directory.offset - header < kLocalSize + name_size || number(header, 4) != kLocal ||
      number(header + 26, 2) != name_size || file_.substr(header + kLocalSize, name_size) != name ||
      number(header + 8, 2) != 0) {
    corrupt("record " + printable(name) + " is not where the zip directory says");
  }
  const auto begin = header + kLocalSize + name_size + number(header + 28, 2);
  if (begin > directory.offset || directory.offset - begin < size)
    corrupt("record " + printable(name) + " reaches beyond the file");
  const auto bytes = file_.substr(begin, size);
  // Checked before the checksum, which would take hours for a million entries of the same bytes.
  claimed_ += size;
  if (claimed_ > file_.size()) corrupt("zip records overlap");
  if (!records_.emplace(name, bytes).second || !ranges_.emplace(header, begin + size).second) {
    corrupt("record " + printable(name) + " is there twice");
  }
  if (crc32(bytes) != sum) corrupt("the checksum of record " + printable(name) + " is wrong");
  return at + kEntrySize + name_size + extra_size + comment_size;
}

ZipReader::ZipReader(std::string_view file) : file_(file) {
  const auto directory = find_directory();
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.entries; ++i) at = read_entry(at, directory);
  if (at != directory.offset + directory.size) corrupt("the zip directory has a wrong size");
  std::uint64_t reached = 0;
  for (const auto& [begin, end] : ranges_) {
    if (begin < reached) corrupt("zip records overlap");
    reached = end;
  }
}

const std::string_view* ZipReader::find(const std::string& name) const {
  const auto found = records_.find(name);
  return found == records_.end() ? nullptr : &found->second;
}

}  // namespace cellsam::weights
