// Reads and writes the JSON header of a safetensors file. Reading is
// strict: it accepts only what the format allows, and no name twice.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cellsam::weights {

struct HeaderTensor {
  std::string name;
  std::string dtype;  // F32, BF16, ...
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  // offsets in bytes from the end of the header
  std::int64_t end = 0;
};

struct Header {
  std::vector<HeaderTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::size_t checksum_at = std::string::npos;  // offset of the value of kChecksum in the header's text
};

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kChecksum = "cellsam.sha256";
constexpr std::size_t kChecksumDigits = 64;
constexpr std::string_view kFormat = "cellsam.format";  // marks a file of ours, which must have a checksum

// Throws ERR_CHECKPOINT_CORRUPT.
Header parse_header(std::string_view json);

// The header's text with kFormat and kChecksum, padded with spaces to a multiple of 8 bytes. The digits of the checksum are
// zeros; sets header.checksum_at to their offset.
std::string write_header(Header& header);

}  // namespace cellsam::weights
