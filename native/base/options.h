// Strict reading of a `Dict` that came from TypeScript: wrong types, values out of range and unknown names are errors, never
// ignored.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/setting.h"
#include "engine.h"

namespace cellsam {

class Options {
 public:
  // `where` names the command in messages. A null value reads as an empty set of options.
  Options(const Value& value, std::string where);

  // The value of a setting, its default when absent or null. Throws ERR_INVALID_ARGUMENT for one out of range.
  bool read(const setting::Flag& setting) { return read(setting, setting.default_value); }
  double read(const setting::Number& setting) { return read(setting, setting.default_value); }
  std::int64_t read(const setting::Integer& setting) { return read(setting, setting.default_value); }
  std::string read(const setting::Choice& setting);
  template <class Kind>
  auto read(const setting::Optional<Kind>& setting) -> std::optional<decltype(read(setting.kind))> {
    return value(setting.kind.name) == nullptr ? std::nullopt : std::optional(read(setting.kind));
  }

  // The same with another value when absent.
  bool read(const setting::Flag& setting, bool fallback);
  double read(const setting::Number& setting, double fallback);
  std::int64_t read(const setting::Integer& setting, std::int64_t fallback);

  // Options that are no settings, such as the path of a command.
  bool has(std::string_view name) const;
  bool flag(std::string_view name, bool fallback);
  double number(std::string_view name, double fallback);
  std::int64_t integer(std::string_view name, std::int64_t fallback);
  std::string text(std::string_view name, const std::string& fallback);
  const Array* array(std::string_view name);  // null when absent
  const List* list(std::string_view name);    // null when absent
  const Value* value(std::string_view name);  // null when absent or null

  // As above, but the option must be there.
  std::int64_t require_integer(std::string_view name);
  std::string require_text(std::string_view name);
  const Array& require_array(std::string_view name);

  // Call after the last read: throws ERR_INVALID_ARGUMENT that lists every name nobody read.
  void done() const;

  // Names of all options that were read so far, also of absent ones.
  const std::set<std::string, std::less<>>& names() const { return read_; }

 private:
  [[noreturn]] void fail(std::string_view name, std::string_view expected) const;

  Dict dict_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace cellsam
