// The part of PickleReader that executes opcodes.
#include <string>

#include "weights/fault.h"
#include "weights/pickle_reader.h"

namespace cellsam::weights {
namespace {

using Kind = PickleNode::Kind;
constexpr std::size_t kMostMarks = 1'000;

}  // namespace

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
      return true;                                              // BINFLOAT; its value is never needed
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
