// How the readers refuse a file: coded errors whose texts may quote the file's own bytes, made harmless first.
#pragma once

#include <new>
#include <string>
#include <string_view>

#include "engine.h"

namespace cellsam::weights {

// At most 120 characters, everything but printable ASCII as '?': names in a hostile file are no valid text.
inline std::string printable(std::string_view bytes) {
  std::string text = "'";
  for (char c : bytes.substr(0, 120)) text += c >= 0x20 && c < 0x7f ? c : '?';
  return text + (bytes.size() > 120 ? "...'" : "'");
}

[[noreturn]] inline void corrupt(const std::string& what) {
  throw Error("ERR_CHECKPOINT_CORRUPT", what + "; the file is damaged, fetch or save it again");
}

[[noreturn]] inline void unsafe(std::string_view what) {
  throw Error("ERR_CHECKPOINT_UNSAFE",
              "the pickle asks for " + printable(what) +
                  ", which is not plain data and was not run; save only the state_dict, with torch.save");
}

[[noreturn]] inline void wrong_format(const std::string& what) { throw Error("ERR_CHECKPOINT_FORMAT", what); }

// Runs `read`, which knows bytes but no file name, and puts `path` before the text of its errors.
template <class Read>
auto reading(const std::string& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(error.code, path + ": " + error.what(), error.detail);
  } catch (const std::bad_alloc&) {
    throw Error("ERR_OUT_OF_MEMORY", path + ": not enough memory to read the file");
  }
}

}  // namespace cellsam::weights
