// A small JSON reader for the native test programs. It reads into the package's own `Value`: no second vocabulary.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "engine.h"

namespace cellsam::test {

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : at_(text.c_str()), end_(at_ + text.size()) {}

  Value read() {
    skip();
    switch (peek()) {
      case '{': return object();
      case '[': return list();
      case '"': return string();
      case 't': return word("true", Value(true));
      case 'f': return word("false", Value(false));
      case 'n': return word("null", Value());
      default: return number();
    }
  }

 private:
  Value object() {
    Dict dict;
    for (bool first = true; next_item(first, '}'); first = false) {
      skip();
      const std::string name = string();
      expect(':');
      dict[name] = read();
    }
    return dict;
  }

  Value list() {
    List items;
    for (bool first = true; next_item(first, ']'); first = false) items.push_back(read());
    return items;
  }

  // Steps over the opening bracket or a comma; false, and past the closing bracket, when the items are at their end.
  bool next_item(bool first, char close) {
    if (first) ++at_;
    skip();
    if (peek() == close) {
      ++at_;
      return false;
    }
    if (!first) expect(',');
    return true;
  }

  std::string string() {
    expect('"');
    std::string text;
    for (; peek() != '"'; ++at_) {
      if (*at_ != '\\') {
        text += *at_;
        continue;
      }
      ++at_;
      if (peek() == 'u') {  // the fixtures are ASCII with a few escaped signs in their notes; those may be lost
        text += '?';
        at_ += 4;
      } else {
        text += *at_ == 'n' ? '\n' : *at_ == 't' ? '\t' : *at_;
      }
    }
    ++at_;
    return text;
  }

  // strtod also reads NaN and Infinity, which Python writes into JSON.
  Value number() {
    char* after = nullptr;
    const double number = std::strtod(at_, &after);
    if (after == at_) fail("a value");
    at_ = after;
    return number;
  }

  Value word(const std::string& text, Value value) {
    if (std::string(at_, end_).compare(0, text.size(), text) != 0) fail(text);
    at_ += text.size();
    return value;
  }

  void skip() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  char peek() {
    if (at_ >= end_) fail("more text");
    return *at_;
  }
  void expect(char sign) {
    skip();
    if (peek() != sign) fail(std::string(1, sign));
    ++at_;
  }
  [[noreturn]] void fail(const std::string& expected) { throw std::runtime_error("JSON: expected " + expected); }

  const char* at_;
  const char* end_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Value read_json(const std::string& path) {
  const std::string text = read_file(path);
  return JsonReader(text).read();
}

// Fields of an object; a missing one or one of another type is an error that names it.
inline bool has_field(const Value& object, const std::string& name) {
  const auto* dict = object.as<Dict>();
  return dict != nullptr && dict->contains(name);
}
inline const Value& field(const Value& object, const std::string& name) {
  if (!has_field(object, name)) throw std::runtime_error("JSON: no field " + name);
  return object.as<Dict>()->at(name);
}
template <class T>
const T& as(const Value& value) {
  const auto* found = value.as<T>();
  if (found == nullptr) throw std::runtime_error("JSON: a value of another type was expected");
  return *found;
}
inline double number(const Value& object, const std::string& name) { return as<double>(field(object, name)); }
inline std::int64_t integer(const Value& object, const std::string& name) {
  return static_cast<std::int64_t>(number(object, name));
}
inline const std::string& text(const Value& object, const std::string& name) { return as<std::string>(field(object, name)); }
inline const List& list(const Value& object, const std::string& name) { return as<List>(field(object, name)); }
inline bool flag(const Value& object, const std::string& name) { return as<bool>(field(object, name)); }

}  // namespace cellsam::test
