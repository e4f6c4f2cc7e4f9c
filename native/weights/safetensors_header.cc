#include "weights/safetensors_header.h"

#include <cctype>
#include <set>

#include "weights/fault.h"

namespace cellsam::weights {
namespace {

[[noreturn]] void malformed() { corrupt("the safetensors header is not the JSON that the format asks for"); }

// Reads the parts of JSON that such a header has: objects, arrays of integers, integers, strings.
class Scanner {
 public:
  explicit Scanner(std::string_view json) : json_(json) {}

  std::size_t at() const { return at_; }

  char peek() {
    while (at_ < json_.size() && (json_[at_] == ' ' || json_[at_] == '\n' || json_[at_] == '\r' || json_[at_] == '\t')) ++at_;
    return at_ < json_.size() ? json_[at_] : '\0';
  }

  void expect(char wanted) {
    if (peek() != wanted || at_ >= json_.size()) malformed();
    ++at_;
  }

  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void end() {
    peek();
    if (at_ != json_.size()) malformed();
  }

  // Calls member(key) with the scanner before each value. Throws for a repeated key.
  template <class Member>
  void object(Member member) {
    std::set<std::string> keys;
    expect('{');
    if (accept('}')) return;
    do {
      auto key = string();
      if (!keys.insert(key).second) corrupt("the safetensors header names " + printable(key) + " twice");
      expect(':');
      member(key);
    } while (accept(','));
    expect('}');
  }

  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> values;
    expect('[');
    if (accept(']')) return values;
    do values.push_back(number());
    while (accept(','));
    expect(']');
    return values;
  }

  std::string string() {
    expect('"');
    std::string text;
    while (true) {
      const char c = next();
      if (c == '"') return text;
      if (static_cast<unsigned char>(c) < 0x20) malformed();
      if (c == '\\') {
        escape(text);
      } else {
        text += c;
      }
    }
  }

 private:
  char next() {
    if (at_ >= json_.size()) malformed();
    return json_[at_++];
  }

  std::int64_t number() {
    peek();
    const auto first = at_;
    std::int64_t value = 0;
    while (at_ < json_.size() && json_[at_] >= '0' && json_[at_] <= '9') {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, json_[at_] - '0', &value)) malformed();
      ++at_;
    }
    if (at_ == first || (at_ - first > 1 && json_[first] == '0')) malformed();
    return value;
  }

  std::uint32_t hex4() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const auto digit =
          std::string_view("0123456789abcdef").find(static_cast<char>(std::tolower(static_cast<unsigned char>(next()))));
      if (digit == std::string_view::npos) malformed();
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  }

  void escape(std::string& text) {
    const char c = next();
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const auto simple = kFrom.find(c); simple != kFrom.npos) {
      text += kTo[simple];
      return;
    }
    if (c != 'u') malformed();
    auto code = hex4();
    if (code >= 0xdc00 && code < 0xe000) malformed();
    if (code >= 0xd800 && code < 0xdc00) {  // the first of a surrogate pair
      if (next() != '\\' || next() != 'u') malformed();
      const auto low = hex4();
      if (low < 0xdc00 || low >= 0xe000) malformed();
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // continuation bytes of UTF-8
    text += static_cast<char>((0xff00 >> (more + 1) & 0xff) | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | (code >> (6 * i) & 0x3f));
  }

  std::string_view json_;
  std::size_t at_ = 0;
};

HeaderTensor parse_tensor(Scanner& scanner, const std::string& name) {
  HeaderTensor tensor;
  tensor.name = name;
  int found = 0;
  scanner.object([&](const std::string& key) {
    ++found;
    if (key == "dtype") {
      tensor.dtype = scanner.string();
    } else if (key == "shape") {
      tensor.shape = scanner.numbers();
    } else if (key == "data_offsets") {
      const auto offsets = scanner.numbers();
      if (offsets.size() != 2) malformed();
      tensor.begin = offsets[0], tensor.end = offsets[1];
    } else {
      malformed();
    }
  });
  if (found != 3) malformed();
  return tensor;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    } else {
      out += "\\u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    }
  }
  return out + "\"";
}

}  // namespace

Header parse_header(std::string_view json) {
  Header header;
  Scanner scanner(json);
  if (json.empty() || json.front() != '{') malformed();
  scanner.object([&](const std::string& name) {
    if (name != kMetadata) {
      header.tensors.push_back(parse_tensor(scanner, name));
      return;
    }
    scanner.object([&](const std::string& key) {
      if (key == kChecksum) {
        scanner.peek();
        header.checksum_at = scanner.at() + 1;
      }
      header.metadata[key] = scanner.string();
    });
  });
  scanner.end();
  return header;
}

std::string write_header(Header& header) {
  std::string json = "{" + json_string(kMetadata) + ":{" + json_string(kChecksum) + ":\"";
  header.checksum_at = json.size();
  json.append(kChecksumDigits, '0');
  json += "\"," + json_string(kFormat) + ":\"1\"";
  for (const auto& [key, value] : header.metadata) json += "," + json_string(key) + ":" + json_string(value);
  json += "}";
  for (const auto& tensor : header.tensors) {
    json += "," + json_string(tensor.name) + ":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) json += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," + std::to_string(tensor.end) + "]}";
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

}  // namespace cellsam::weights
