// Strict reading of a `Dict` that came from TypeScript: wrong types and unknown names are errors, never ignored.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine.h"

namespace cellsam {

class Options {
 public:
  // `where` names the command in messages. A null value reads as an empty set of options.
  Options(const Value& value, std::string where);

  bool has(const std::string& name) const;
  bool flag(const std::string& name, bool fallback);
  double number(const std::string& name, double fallback);
  std::int64_t integer(const std::string& name, std::int64_t fallback);
  std::string text(const std::string& name, const std::string& fallback);
  const Array* array(const std::string& name);  // null when absent
  const List* list(const std::string& name);    // null when absent
  const Value* value(const std::string& name);  // null when absent or null

  // As above, but the option must be there.
  std::int64_t require_integer(const std::string& name);
  std::string require_text(const std::string& name);
  const Array& require_array(const std::string& name);

  // Call after the last read: throws ERR_INVALID_ARGUMENT that lists every name nobody read.
  void done() const;

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& expected) const;

  Dict dict_;
  std::string where_;
  std::set<std::string> read_;
};

}  // namespace cellsam
