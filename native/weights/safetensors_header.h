// The JSON header of a safetensors file: read strictly (only what the format allows, no name twice) and written.
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
  std::int64_t begin = 0;  // bytes, from the end of the header
  std::int64_t end = 0;
};

struct Header {
  std::vector<HeaderTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::size_t checksum_at = std::string::npos;  // where the value of kChecksum stands in the header's text
};

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kChecksum = "cellsam.sha256";
constexpr std::size_t kChecksumDigits = 64;
constexpr std::string_view kFormat = "cellsam.format";  // marks a file of ours, so that it is noticed when the checksum is gone

// Throws ERR_CHECKPOINT_CORRUPT.
Header parse_header(std::string_view json);

// The text, padded with spaces to a multiple of 8 bytes, with kFormat and kChecksum; the checksum's digits are zeros and
// stand at `checksum_at`.
std::string write_header(Header& header);

}  // namespace cellsam::weights
