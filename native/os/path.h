// Paths between the two forms: UTF-8, as JavaScript and every message have them, and std::filesystem's own, which has 16-bit
// characters on Windows and reads a plain std::string in the local code page there.
#pragma once

#include <filesystem>
#include <string>

namespace cellsam::os {

inline std::filesystem::path path_of(const std::string& utf8) {
  return std::filesystem::path(std::u8string(utf8.begin(), utf8.end()));
}

inline std::string text_of(const std::filesystem::path& path) {
  const auto utf8 = path.u8string();
  return {utf8.begin(), utf8.end()};
}

}  // namespace cellsam::os
