// Converts paths between UTF-8, which JavaScript and all messages use, and std::filesystem's type, which on Windows has 16-bit
// characters and would read a std::string in the local code page.
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
