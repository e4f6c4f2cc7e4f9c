// The bytes of a store file, for its writer and its reader: header, distance of tiles, encoding of the index.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>

#include "base/checksum.h"

namespace cellsam::data {

static_assert(std::endian::native == std::endian::little, "stores are little endian and mapped as they are");

struct StoreHeader {
  std::array<char, 8> magic{'C', 'E', 'L', 'L', 'T', 'I', 'L', 'E'};
  std::uint32_t version = 1;
  std::uint32_t tile_size = 0;
  std::int64_t tiles = 0;
  std::int64_t index_offset = 0;
  std::int64_t index_bytes = 0;
  std::uint64_t index_checksum = 0;
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  // of the 56 bytes above
};
static_assert(sizeof(StoreHeader) == 64);

// A tile on disk is labels i32 [T,T], image u8 [3,T,T], and zeros up to a multiple of 64 bytes, so that labels are aligned.
constexpr std::int64_t tile_pitch(std::int64_t tile_size) { return (7 * tile_size * tile_size + 63) / 64 * 64; }

constexpr std::int64_t tile_offset(std::int64_t tile_size, std::int64_t i) {
  return static_cast<std::int64_t>(sizeof(StoreHeader)) + i * tile_pitch(tile_size);
}

// The index is a sequence of 64-bit integers and of strings, each of which follows its length.
inline void put(std::string& index, std::int64_t number) {
  index.append(reinterpret_cast<const char*>(&number), sizeof(number));
}
inline void put(std::string& index, const std::string& text) {
  put(index, static_cast<std::int64_t>(text.size()));
  index += text;
}

}  // namespace cellsam::data
