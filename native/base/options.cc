#include "base/options.h"

#include <cmath>

namespace cellsam {

Options::Options(const Value& value, std::string where) : where_(std::move(where)) {
  if (value.is_null()) return;
  const auto* dict = value.as<Dict>();
  if (dict == nullptr) throw Error("ERR_INVALID_ARGUMENT", where_ + ": expected an object of options");
  dict_ = *dict;
}

const Value* Options::value(const std::string& name) {
  read_.insert(name);
  auto found = dict_.find(name);
  return found == dict_.end() || found->second.is_null() ? nullptr : &found->second;
}

bool Options::has(const std::string& name) const {
  auto found = dict_.find(name);
  return found != dict_.end() && !found->second.is_null();
}

bool Options::flag(const std::string& name, bool fallback) {
  const auto* found = value(name);
  if (found == nullptr) return fallback;
  const auto* flag = found->as<bool>();
  if (flag == nullptr) fail(name, "true or false");
  return *flag;
}

double Options::number(const std::string& name, double fallback) {
  const auto* found = value(name);
  if (found == nullptr) return fallback;
  const auto* number = found->as<double>();
  if (number == nullptr || !std::isfinite(*number)) fail(name, "a finite number");
  return *number;
}

std::int64_t Options::integer(const std::string& name, std::int64_t fallback) {
  const double number = this->number(name, static_cast<double>(fallback));
  if (number != std::floor(number) || std::abs(number) > 9007199254740991.0) fail(name, "an integer");
  return static_cast<std::int64_t>(number);
}

std::string Options::text(const std::string& name, const std::string& fallback) {
  const auto* found = value(name);
  if (found == nullptr) return fallback;
  const auto* text = found->as<std::string>();
  if (text == nullptr) fail(name, "a string");
  return *text;
}

const Array* Options::array(const std::string& name) {
  const auto* found = value(name);
  if (found == nullptr) return nullptr;
  const auto* array = found->as<Array>();
  if (array == nullptr) fail(name, "an array of numbers with a shape");
  return array;
}

const List* Options::list(const std::string& name) {
  const auto* found = value(name);
  if (found == nullptr) return nullptr;
  const auto* list = found->as<List>();
  if (list == nullptr) fail(name, "a list");
  return list;
}

std::int64_t Options::require_integer(const std::string& name) {
  if (!has(name)) fail(name, "an integer");
  return integer(name, 0);
}

std::string Options::require_text(const std::string& name) {
  if (!has(name)) fail(name, "a string");
  return text(name, "");
}

const Array& Options::require_array(const std::string& name) {
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

void Options::fail(const std::string& name, const std::string& expected) const {
  throw Error("ERR_INVALID_ARGUMENT", where_ + ": option " + name + " must be " + expected);
}

}  // namespace cellsam
