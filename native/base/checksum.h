// Checksums and hashes of arrays at the speed of memory: to detect damage and to recognise equal contents. They do not resist
// someone who constructs collisions on purpose.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cellsam {

namespace detail {

constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;

// Four lanes, each of which takes every fourth 8-byte word: xor, multiply by an odd number, rotate. Each step is a bijection,
// so a difference within one word always changes the result.
inline std::array<std::uint64_t, 4> sum_lanes(const void* data, std::size_t bytes) {
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
  return lanes;
}

// A bijection after which every bit depends on all bits: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace detail

// 64 bits, to detect damage.
inline std::uint64_t checksum(const void* data, std::size_t bytes) {
  const auto lanes = detail::sum_lanes(data, bytes);
  return ((lanes[0] * detail::kOdd + lanes[1]) * detail::kOdd + lanes[2]) * detail::kOdd + lanes[3];
}

// 128 bits that identify a content.
struct ContentHash {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const ContentHash&) const = default;
};

inline ContentHash content_hash(const void* data, std::size_t bytes) {
  const auto lanes = detail::sum_lanes(data, bytes);
  ContentHash hash;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    hash.high = detail::mix(hash.high ^ lanes[i]);
    hash.low = detail::mix((hash.low + lanes[i]) * detail::kOdd);
  }
  return hash;
}

}  // namespace cellsam
