#include "weights/crc32.h"

#include <array>
#include <bit>
#include <cstring>

namespace cellsam::weights {
namespace {

constexpr int kLanes = 16;
using Tables = std::array<std::array<std::uint32_t, 256>, kLanes>;

// tables[k][b]: the effect of byte b on the sum when k more bytes follow it.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xedb88320u : 0u);
    tables[0][byte] = sum;
  }
  for (int k = 1; k < kLanes; ++k) {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const auto before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian and read in place");
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint32_t sum = ~std::uint32_t{0};
  for (; left >= kLanes; left -= kLanes, at += kLanes) {
    std::array<std::uint8_t, kLanes> lane;
    std::memcpy(lane.data(), at, kLanes);
    for (int i = 0; i < 4; ++i) lane[i] ^= static_cast<std::uint8_t>(sum >> (8 * i));
    sum = 0;
    for (int i = 0; i < kLanes; ++i) sum ^= kTables[kLanes - 1 - i][lane[i]];
  }
  for (; left > 0; --left, ++at) sum = (sum >> 8) ^ kTables[0][(sum ^ static_cast<std::uint8_t>(*at)) & 255];
  return ~sum;
}

}  // namespace cellsam::weights
