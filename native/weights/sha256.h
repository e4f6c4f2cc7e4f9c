// SHA-256 (FIPS 180-4) of data that comes in parts. It identifies checkpoints. It is our own so that OpenSSL is no dependency,
// and uses the processor's SHA instructions where there are any, since a state file may have a gigabyte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cellsam::weights {

class Sha256 {
 public:
  void update(const void* data, std::size_t size);
  // 64 lower-case hex digits. The object cannot be used afterwards.
  std::string hex();

 private:
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t total_ = 0;
};

inline std::string sha256_hex(std::string_view bytes) {
  Sha256 sum;
  sum.update(bytes.data(), bytes.size());
  return sum.hex();
}

}  // namespace cellsam::weights
