#include "weights/pickle_reader.h"

#include <utility>

#include "weights/fault.h"

namespace cellsam::weights {
namespace {

using Kind = PickleNode::Kind;

// Far above any checkpoint (a vit_h CellSAM needs some 40 000 nodes), far below what would hurt.
constexpr std::size_t kLargestPickle = std::size_t{32} << 20;
constexpr std::size_t kMostNodes = 2'000'000;
constexpr std::size_t kMostOnStack = 1'000'000;
constexpr std::size_t kMostMarks = 1'000;

}  // namespace

PickleReader::PickleReader(std::string_view bytes, OpenStorage open_storage, std::int64_t budget)
    : bytes_(bytes), open_storage_(std::move(open_storage)), budget_(budget) {
  if (bytes_.size() > kLargestPickle) corrupt("the pickle is larger than 32 MiB");
  run();
}

std::uint64_t PickleReader::number(int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; const char byte : text(static_cast<std::uint64_t>(bytes))) {
    value |= std::uint64_t{static_cast<std::uint8_t>(byte)} << (8 * i++);
  }
  return value;
}

std::string_view PickleReader::text(std::uint64_t size) {
  if (size > bytes_.size() - at_) corrupt("the pickle ends too early");
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

std::string_view PickleReader::line() {
  const auto end = bytes_.find('\n', at_);
  if (end == bytes_.npos) corrupt("the pickle ends too early");
  const auto found = text(end - at_);
  ++at_;
  return found;
}

PickleNode& PickleReader::make(Kind kind) {
  if (nodes_.size() >= kMostNodes) corrupt("the pickle has more than two million objects");
  auto& node = nodes_.emplace_back();
  node.kind = kind;
  return node;
}

void PickleReader::push(PickleNode& node) {
  if (stack_.size() >= kMostOnStack) corrupt("the pickle's stack grows beyond a million objects");
  stack_.push_back(&node);
}

PickleNode& PickleReader::push_new(Kind kind) {
  auto& node = make(kind);
  push(node);
  return node;
}

PickleNode& PickleReader::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) corrupt("the pickle takes from an empty stack");
  return *stack_.back();
}

PickleNode& PickleReader::pop() {
  auto& node = top();
  stack_.pop_back();
  return node;
}

std::vector<PickleNode*> PickleReader::pop_to_mark() {
  if (marks_.empty()) corrupt("the pickle misses a mark");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleNode*> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleReader::push_tuple(std::size_t size) {
  std::vector<PickleNode*> items(size);
  for (auto item = items.rbegin(); item != items.rend(); ++item) *item = &pop();
  push_new(Kind::tuple).items = std::move(items);
}

void PickleReader::memoize(std::uint64_t index) {
  if (memo_.size() >= kMostNodes) corrupt("the pickle stores more than two million objects");
  memo_[index] = &top();
}

void PickleReader::recall(std::uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) corrupt("the pickle recalls an object that it never stored");
  push(*found->second);
}

void PickleReader::push_integer(std::int64_t value) { push_new(Kind::integer).integer = value; }

void PickleReader::push_long(std::uint64_t size) {
  if (size > 8) {  // no size or offset is that long; a random state or a counter may be
    text(size);
    push_new(Kind::other);
    return;
  }
  auto value = number(static_cast<int>(size));
  const auto bits = 8 * size;
  if (size > 0 && size < 8 && (value >> (bits - 1) & 1) != 0) value |= ~std::uint64_t{0} << bits;
  push_integer(static_cast<std::int64_t>(value));
}

void PickleReader::push_text(Kind kind, std::uint64_t size) {
  const auto found = text(size);
  push_new(kind).text = found;
}

void PickleReader::append(PickleNode& list, const std::vector<PickleNode*>& items) {
  if (list.kind != Kind::list) corrupt("the pickle appends to something that is no list");
  list.items.insert(list.items.end(), items.begin(), items.end());
}

void PickleReader::set_items(PickleNode& dict, const std::vector<PickleNode*>& items) {
  if (dict.kind != Kind::dict || items.size() % 2 != 0) corrupt("the pickle sets an item of something that is no dict");
  dict.items.insert(dict.items.end(), items.begin(), items.end());
}

void PickleReader::run() {
  if (number(1) != 0x80) corrupt("the pickle has no protocol number");
  if (const auto protocol = number(1); protocol < 2 || protocol > 5) corrupt("the pickle is of an unknown protocol");
  while (step(static_cast<std::uint8_t>(number(1)))) {
  }
  if (at_ != bytes_.size()) corrupt("the pickle goes on after its end");
}

bool PickleReader::step(std::uint8_t opcode) {
  switch (opcode) {
    case '.':  // STOP
      root_ = &pop();
      if (!stack_.empty() || !marks_.empty()) corrupt("the pickle leaves objects on its stack");
      return false;
    case 0x95:  // FRAME: a hint for buffered readers
      if (number(8) > bytes_.size() - at_) corrupt("the pickle ends too early");
      return true;
    case '(':  // MARK
      if (marks_.size() >= kMostMarks) corrupt("the pickle nests too deeply");
      marks_.push_back(stack_.size());
      return true;
    case '0': pop(); return true;                   // POP
    case '1': pop_to_mark(); return true;           // POP_MARK
    case '2': push(top()); return true;             // DUP
    case 'q': memoize(number(1)); return true;      // BINPUT
    case 'r': memoize(number(4)); return true;      // LONG_BINPUT
    case 0x94: memoize(memo_.size()); return true;  // MEMOIZE
    case 'h': recall(number(1)); return true;       // BINGET
    case 'j': recall(number(4)); return true;       // LONG_BINGET
    case 'Q': load_storage(); return true;          // BINPERSID
    case 'R': reduce(); return true;                // REDUCE
    case 'b': build(); return true;                 // BUILD
    case 'c': {                                     // GLOBAL
      const auto module = line();
      push_global(module, line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const auto& name = pop();
      const auto& module = pop();
      if (name.kind != Kind::text || module.kind != Kind::text)
        corrupt("the pickle names a global by something that is no text");
      push_global(module.text, name.text);
      return true;
    }
    case 'i': {  // INST
      const auto module = std::string(line());
      unsafe(module + "." + std::string(line()) + " (opcode INST)");
    }
    case 'o': unsafe("an object (opcode OBJ)");
    case 0x81: unsafe("an object (opcode NEWOBJ)");
    case 0x92: unsafe("an object (opcode NEWOBJ_EX)");
    case 0x82:
    case 0x83:
    case 0x84: unsafe("an extension object (opcode EXT)");
    case 'P': unsafe("a persistent object (opcode PERSID)");
    case 0x8f:
    case 0x90:
    case 0x91: unsafe("a set");
    default:
      if (!step_container(opcode) && !step_scalar(opcode))
        corrupt("the pickle has an unknown opcode " + std::to_string(opcode));
      return true;
  }
}

bool PickleReader::step_container(std::uint8_t opcode) {
  switch (opcode) {
    case ']': push_new(Kind::list); return true;   // EMPTY_LIST
    case '}': push_new(Kind::dict); return true;   // EMPTY_DICT
    case ')': push_new(Kind::tuple); return true;  // EMPTY_TUPLE
    case 0x85: push_tuple(1); return true;
    case 0x86: push_tuple(2); return true;
    case 0x87: push_tuple(3); return true;
    case 't': {  // TUPLE
      auto items = pop_to_mark();
      push_new(Kind::tuple).items = std::move(items);
      return true;
    }
    case 'a': {  // APPEND
      auto& item = pop();
      append(top(), {&item});
      return true;
    }
    case 'e': {  // APPENDS
      const auto items = pop_to_mark();
      append(top(), items);
      return true;
    }
    case 's': {  // SETITEM
      auto& value = pop();
      auto& key = pop();
      set_items(top(), {&key, &value});
      return true;
    }
    case 'u': {  // SETITEMS
      const auto items = pop_to_mark();
      set_items(top(), items);
      return true;
    }
    default: return false;
  }
}

bool PickleReader::step_scalar(std::uint8_t opcode) {
  switch (opcode) {
    case 'N': push_new(Kind::none); return true;
    case 0x88: push_new(Kind::boolean).integer = 1; return true;
    case 0x89: push_new(Kind::boolean).integer = 0; return true;
    case 'J': push_integer(static_cast<std::int32_t>(number(4))); return true;  // BININT
    case 'K': push_integer(static_cast<std::int64_t>(number(1))); return true;  // BININT1
    case 'M': push_integer(static_cast<std::int64_t>(number(2))); return true;  // BININT2
    case 0x8a: push_long(number(1)); return true;                               // LONG1
    case 0x8b: push_long(number(4)); return true;                               // LONG4
    case 'G':
      number(8);
      push_new(Kind::real);
      return true;                                              // BINFLOAT; no reader of ours wants one
    case 'X': push_text(Kind::text, number(4)); return true;    // BINUNICODE
    case 0x8c: push_text(Kind::text, number(1)); return true;   // SHORT_BINUNICODE
    case 0x8d: push_text(Kind::text, number(8)); return true;   // BINUNICODE8
    case 'T': push_text(Kind::text, number(4)); return true;    // BINSTRING (Python 2)
    case 'U': push_text(Kind::text, number(1)); return true;    // SHORT_BINSTRING
    case 'B': push_text(Kind::bytes, number(4)); return true;   // BINBYTES
    case 'C': push_text(Kind::bytes, number(1)); return true;   // SHORT_BINBYTES
    case 0x8e: push_text(Kind::bytes, number(8)); return true;  // BINBYTES8
    case 0x96: push_text(Kind::bytes, number(8)); return true;  // BYTEARRAY8
    default: return false;
  }
}

}  // namespace cellsam::weights
