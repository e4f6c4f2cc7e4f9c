// CRC-32 of the zip format (polynomial 0xedb88320), sixteen bytes at a time, since a checkpoint may have gigabytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace cellsam::weights {

std::uint32_t crc32(std::string_view bytes);

}  // namespace cellsam::weights
