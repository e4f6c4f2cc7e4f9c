// The errors with which readers refuse a file. Their messages may quote the file, so its bytes are made printable first.
#pragma once

#include <new>
#include <string>
#include <string_view>

#include "engine.h"

namespace cellsam::weights {

// `bytes` in quotes, at most 120 of them, with '?' for everything but printable ASCII.
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

// Runs `read`, which does not know the file's name, and puts `path` before the messages of its errors.
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
