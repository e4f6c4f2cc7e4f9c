#include "base/options.h"

#include <cmath>

namespace cellsam {

namespace {

constexpr double kMostExactInteger = 9007199254740991.0;  // 2^53 - 1

bool is_whole(double number) { return number == std::floor(number) && std::abs(number) <= kMostExactInteger; }

bool is_choice(std::string_view text, std::string_view choices) {
  while (!choices.empty()) {
    const auto end = choices.find('|');
    if (choices.substr(0, end) == text) return true;
    choices.remove_prefix(end == std::string_view::npos ? choices.size() : end + 1);
  }
  return false;
}

}  // namespace

Options::Options(const Value& value, std::string where) : where_(std::move(where)) {
  if (value.is_null()) return;
  const auto* dict = value.as<Dict>();
  if (dict == nullptr) throw Error("ERR_INVALID_ARGUMENT", where_ + ": expected an object of options");
  dict_ = *dict;
}

bool Options::read(const setting::Flag& setting, bool fallback) {
  const auto* found = value(setting.name);
  if (found == nullptr) return fallback;
  const auto* flag = found->as<bool>();
  if (flag == nullptr) fail(setting.name, setting.expected);
  return *flag;
}

double Options::read(const setting::Number& setting, double fallback) {
  const auto* found = value(setting.name);
  if (found == nullptr) return fallback;
  const auto* number = found->as<double>();
  if (number == nullptr || !std::isfinite(*number) || !setting.range.holds(*number)) fail(setting.name, setting.expected);
  return *number;
}

std::int64_t Options::read(const setting::Integer& setting, std::int64_t fallback) {
  const auto* found = value(setting.name);
  if (found == nullptr) return fallback;
  const auto* number = found->as<double>();
  if (number == nullptr || !is_whole(*number) || !setting.range.holds(*number)) fail(setting.name, setting.expected);
  return static_cast<std::int64_t>(*number);
}

std::string Options::read(const setting::Choice& setting) {
  const auto* found = value(setting.name);
  if (found == nullptr) return std::string(setting.default_value);
  if (const auto* flag = found->as<bool>(); flag != nullptr && is_choice("on", setting.choices)) return *flag ? "on" : "off";
  const auto* text = found->as<std::string>();
  if (text == nullptr || !is_choice(*text, setting.choices)) fail(setting.name, setting.expected);
  return *text;
}

const Value* Options::value(std::string_view name) {
  read_.emplace(name);
  auto found = dict_.find(std::string(name));
  return found == dict_.end() || found->second.is_null() ? nullptr : &found->second;
}

bool Options::has(std::string_view name) const {
  auto found = dict_.find(std::string(name));
  return found != dict_.end() && !found->second.is_null();
}

bool Options::flag(std::string_view name, bool fallback) { return read(setting::Flag{name, "true or false"}, fallback); }

double Options::number(std::string_view name, double fallback) {
  return read(setting::Number{name, "a finite number", {}}, fallback);
}

std::int64_t Options::integer(std::string_view name, std::int64_t fallback) {
  return read(setting::Integer{name, "an integer", {}}, fallback);
}

std::string Options::text(std::string_view name, const std::string& fallback) {
  const auto* found = value(name);
  if (found == nullptr) return fallback;
  const auto* text = found->as<std::string>();
  if (text == nullptr) fail(name, "a string");
  return *text;
}

const Array* Options::array(std::string_view name) {
  const auto* found = value(name);
  if (found == nullptr) return nullptr;
  const auto* array = found->as<Array>();
  if (array == nullptr) fail(name, "an array of numbers with a shape");
  return array;
}

const List* Options::list(std::string_view name) {
  const auto* found = value(name);
  if (found == nullptr) return nullptr;
  const auto* list = found->as<List>();
  if (list == nullptr) fail(name, "a list");
  return list;
}

std::int64_t Options::require_integer(std::string_view name) {
  if (!has(name)) fail(name, "an integer");
  return integer(name, 0);
}

std::string Options::require_text(std::string_view name) {
  if (!has(name)) fail(name, "a string");
  return text(name, "");
}

const Array& Options::require_array(std::string_view name) {
  const auto* found = array(name);
  if (found == nullptr) fail(name, "an array of numbers with a shape");
  return *found;
}

void Options::done() const {
  std::string unknown;
  for (const auto& [name, value] : dict_) {
    if (!read_.contains(name)) unknown += (unknown.empty() ? "" : ", ") + name;
  }
  if (!unknown.empty()) throw Error("ERR_INVALID_ARGUMENT", where_ + ": unknown option " + unknown);
}

void Options::fail(std::string_view name, std::string_view expected) const {
  throw Error("ERR_INVALID_ARGUMENT", where_ + ": option " + std::string(name) + " must be " + std::string(expected));
}

}  // namespace cellsam
