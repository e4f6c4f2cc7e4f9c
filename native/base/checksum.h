// Sums over the bytes of arrays at memory speed: against damage, and to know equal contents again. None of them is secret or
// withstands someone who wants two contents to look alike.
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

// Four lanes of xor, multiply by an odd number, rotate. Each step is a bijection, so any difference inside one 8-byte word is
// always noticed.
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

// A bijection after which every bit depends on all others (the finaliser of SplitMix64).
constexpr std::uint64_t stir(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace detail

// 64 bits against damage.
inline std::uint64_t checksum(const void* data, std::size_t bytes) {
  const auto lanes = detail::sum_lanes(data, bytes);
  return ((lanes[0] * detail::kOdd + lanes[1]) * detail::kOdd + lanes[2]) * detail::kOdd + lanes[3];
}

// 128 bits by which a content is known again: among a million pictures, two that differ meet with a chance below 1e-7.
struct ContentHash {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const ContentHash&) const = default;
};

inline ContentHash content_hash(const void* data, std::size_t bytes) {
  const auto lanes = detail::sum_lanes(data, bytes);
  ContentHash hash;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    hash.high = detail::stir(hash.high ^ lanes[i]);
    hash.low = detail::stir((hash.low + lanes[i]) * detail::kOdd);
  }
  return hash;
}

}  // namespace cellsam
