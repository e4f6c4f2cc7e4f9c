// The bytes of a store file, shared by its writer and its reader: prelude, pitch, checksum, index encoding.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace cellsam::data {

static_assert(std::endian::native == std::endian::little, "stores are little endian and mapped as they are");

struct Prelude {
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
static_assert(sizeof(Prelude) == 64);

// A tile on disk is labels i32 [T,T], image u8 [3,T,T], zeros up to a multiple of 64 bytes, so that labels stay aligned.
constexpr std::int64_t tile_pitch(std::int64_t tile_size) { return (7 * tile_size * tile_size + 63) / 64 * 64; }

constexpr std::int64_t tile_offset(std::int64_t tile_size, std::int64_t i) {
  return static_cast<std::int64_t>(sizeof(Prelude)) + i * tile_pitch(tile_size);
}

// 64-bit checksum at memory speed: four lanes of xor, multiply by an odd number, rotate. Each step is a bijection, so any
// damage inside one 8-byte word is always noticed.
inline std::uint64_t checksum(const void* data, std::size_t bytes) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;
  const auto* from = static_cast<const unsigned char*>(data);
  std::array<std::uint64_t, 4> lanes{1, 2, 3, bytes};
  auto feed = [&lanes](std::size_t lane, std::uint64_t word) { lanes[lane] = std::rotl((lanes[lane] ^ word) * kOdd, 31); };
  std::size_t i = 0;
  for (; i + 32 <= bytes; i += 32) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      std::uint64_t word;
      std::memcpy(&word, from + i + 8 * lane, 8);
      feed(lane, word);
    }
  }
  for (; i < bytes; ++i) feed(0, from[i]);
  return ((lanes[0] * kOdd + lanes[1]) * kOdd + lanes[2]) * kOdd + lanes[3];
}

// The index is a sequence of 64-bit integers and of strings, each string after its length.
inline void put(std::string& index, std::int64_t number) {
  index.append(reinterpret_cast<const char*>(&number), sizeof(number));
}
inline void put(std::string& index, const std::string& text) {
  put(index, static_cast<std::int64_t>(text.size()));
  index += text;
}

}  // namespace cellsam::data
