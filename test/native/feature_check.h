// For the tests of kept features: a file of small payloads, each a function of its number.
#pragma once

#include <cstring>
#include <string>

#include "cache/feature_file.h"
#include "native/checks.h"
#include "native/folder.h"

namespace cellsam::test {

using cache::FeatureFile;
using cache::FeatureFolder;

inline constexpr std::int64_t kBytes = 10'000, kPitch = 12'288, kBlock = 4096;
inline constexpr std::int64_t kPlenty = 1 << 30;
inline const std::string kKey = "0123456789abcdef0123456789abcdef", kOther = "fedcba9876543210fedcba9876543210";

inline ContentHash hash_of_number(std::uint64_t i) { return content_hash(&i, sizeof i); }

// The only right content for a number.
inline std::string payload(std::uint64_t i) {
  std::string bytes(kBytes, '\0');
  for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<char>((i + 1) * 31 + at * (i % 7 + 1));
  return bytes;
}

inline cache::FeatureFile open_in(const std::string& folder, std::int64_t limit = kPlenty, const std::string& key = kKey,
                                  std::int64_t memory = 0) {
  return cache::FeatureFile(cache::FeatureFolder(folder, limit), key, kBytes, memory);
}
inline void add(cache::FeatureFile& file, std::uint64_t i) { file.add(hash_of_number(i), payload(i).data()); }

enum class Found { no, right, wrong };
inline Found find(cache::FeatureFile& file, std::uint64_t i) {
  const auto* found = file.find(hash_of_number(i));
  if (found == nullptr) return Found::no;
  return std::memcmp(found, payload(i).data(), kBytes) == 0 ? Found::right : Found::wrong;
}
inline bool all_right(cache::FeatureFile& file, std::uint64_t from, std::uint64_t to) {
  for (auto i = from; i < to; ++i) {
    if (find(file, i) != Found::right) return false;
  }
  return true;
}
inline bool told(cache::FeatureFile& file, const std::string& word) {
  const auto notices = file.take_notices();
  return notices.size() == 1 && notices[0].find(word) != std::string::npos;
}

}  // namespace cellsam::test
