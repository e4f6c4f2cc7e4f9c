// Checkpoints made by hand, byte by byte and without our own writers: malicious ones with the code that each must give, and
// harmless ones that torch.save may write but our writer never does.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "weights/crc32.h"

namespace cellsam::weights::test::crafted {

inline std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

// One zip record; what it says of itself can be falsified.
struct Record {
  std::string name, bytes;
  int method = 0;
  int flags = 0;
  std::int64_t stated_size = -1;
  std::int64_t header = -1;  // place of the local header
};

// What the local header and the directory entry both say.
inline std::string both_headers(const Record& r) {
  const auto size = little(r.stated_size < 0 ? r.bytes.size() : static_cast<std::uint64_t>(r.stated_size), 4);
  return little(20, 2) + little(r.flags, 2) + little(r.method, 2) + little(0, 4) + little(crc32(r.bytes), 4) + size + size +
         little(r.name.size(), 2);
}

inline std::string local(const Record& r) { return "PK\x03\x04" + both_headers(r) + little(0, 2) + r.name; }

inline std::string zip(const std::vector<Record>& records) {
  std::string file, directory;
  for (const auto& r : records) {
    const auto header = r.header < 0 ? file.size() : static_cast<std::uint64_t>(r.header);
    directory += "PK\x01\x02" + little(20, 2) + both_headers(r) + std::string(12, '\0') + little(header, 4) + r.name;
    if (r.header < 0) file += local(r) + r.bytes;
  }
  const auto at = file.size(), count = records.size();
  return file + directory + "PK\x05\x06" + little(0, 4) + little(count, 2) + little(count, 2) + little(directory.size(), 4) +
         little(at, 4) + little(0, 2);
}

inline std::string pth(const std::string& pickle, const std::string& data) {
  return zip(
      {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}, {"archive/data/0", data}, {"archive/version", "3\n"}});
}

inline std::string text(const std::string& value) { return "X" + little(value.size(), 4) + value; }
inline std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string whole(std::int64_t value) { return "\x8a\x08" + little(static_cast<std::uint64_t>(value), 8); }

inline std::string tuple(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (auto value : values) out += whole(value);
  return out + "t";
}

inline std::string storage(const std::string& kind, const std::string& key, std::int64_t items) {
  return "(" + text("storage") + global("torch", kind) + text(key) + text("cpu") + whole(items) + "tQ";
}

inline std::string tensor(const std::string& kind, const std::string& key, std::int64_t items, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage(kind, key, items) + whole(offset) + tuple(sizes) +
         tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}

// {"w": value} in protocol 2.
inline std::string state_dict(const std::string& value) { return "\x80\x02}" + text("w") + value + "s."; }

struct Malicious {
  std::string name, bytes, code;
};

inline std::vector<Malicious> malicious(const std::string& canary) {
  std::vector<Malicious> files;
  const std::string data(24, '\0'), good = tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1});
  const auto add = [&](const std::string& name, const std::string& pickle, const std::string& code) {
    files.push_back({name, pth(pickle, data), code});
  };
  const std::string kUnsafe = "ERR_CHECKPOINT_UNSAFE", kCorrupt = "ERR_CHECKPOINT_CORRUPT", kFormat = "ERR_CHECKPOINT_FORMAT";

  // Code that wants to run. Every one would create the canary in Python.
  const auto touch = "touch '" + canary + "'";
  const auto shell = text(touch) + "\x85";
  const auto python = text("open('" + canary + "','w')") + "\x85";
  for (const auto& [module, name, arguments] :
       std::vector<std::tuple<std::string, std::string, std::string>>{{"os", "system", shell},
                                                                      {"posix", "system", shell},
                                                                      {"nt", "system", shell},
                                                                      {"subprocess", "getoutput", shell},
                                                                      {"builtins", "eval", python},
                                                                      {"builtins", "exec", python},
                                                                      {"__builtin__", "eval", python},
                                                                      {"torch", "load", shell},
                                                                      {"torch.serialization", "load", shell},
                                                                      {"torch._utils", "_rebuild_tensor", shell},
                                                                      {"torch", "nn.Linear", shell},
                                                                      {"torch._utils", "_rebuild_tensor_v2.__globals__", shell},
                                                                      {"collections", "OrderedDict.__init__", shell},
                                                                      {"collections", "namedtuple", shell},
                                                                      {"torch.storage", "_load_from_bytes", shell},
                                                                      {"numpy", "load", shell},
                                                                      {"", "", shell}}) {
    const auto where = " " + module + "." + name;
    add("GLOBAL and REDUCE," + where, state_dict(global(module, name) + arguments + "R"), kUnsafe);
    add("STACK_GLOBAL and REDUCE," + where, "\x80\x04}" + text("w") + text(module) + text(name) + "\x93" + arguments + "Rs.",
        kUnsafe);
    add("named only," + where, "\x80\x02" + global(module, name) + "0}" + text("w") + good + "s.", kUnsafe);
    add("INST," + where, state_dict("(" + text(touch) + "i" + module + "\n" + name + "\n"), kUnsafe);
    add("OBJ," + where, state_dict("(" + global(module, name) + text(touch) + "o"), kUnsafe);
    add("NEWOBJ," + where, state_dict(global(module, name) + arguments + "\x81"), kUnsafe);
    add("NEWOBJ_EX," + where, "\x80\x04}" + text("w") + global(module, name) + arguments + "}\x92s.", kUnsafe);
  }
  for (const std::string opcode : {"\x82\x01", "\x83\x01\x01", "\x84\x01\x01\x01\x01"}) add("EXT", state_dict(opcode), kUnsafe);
  add("OBJ of an allowed class", state_dict("(" + global("collections", "OrderedDict") + "o"), kUnsafe);
  add("NEWOBJ of an allowed class", state_dict(global("collections", "OrderedDict") + ")\x81"), kUnsafe);
  add("a call of a storage class", state_dict(global("torch", "FloatStorage") + ")R"), kUnsafe);
  add("a call of a dtype", state_dict(global("torch", "float32") + ")R"), kUnsafe);
  add("BUILD on a tensor", state_dict(good + "}" + text("__class__") + text("x") + "sb"), kUnsafe);
  add("BUILD on a dict", state_dict("}}b"), kUnsafe);
  add("BUILD with a tuple", state_dict(global("collections", "OrderedDict") + ")R)b"), kUnsafe);
  add("a textual persistent id", state_dict("Pstorage\n"), kUnsafe);
  add("a set", "\x80\x04}" + text("w") + "\x8fs.", kUnsafe);
  add("a call of text", state_dict(text("os.system") + shell + "R"), kCorrupt);

  // Tensors that lie about their storage.
  const std::int64_t big = std::int64_t{1} << 62;
  const std::vector<std::tuple<std::string, std::string>> lies = {
      {"one item too many", tensor("FloatStorage", "0", 6, 0, {7}, {1})},
      {"beyond by offset", tensor("FloatStorage", "0", 6, 1, {2, 3}, {3, 1})},
      {"beyond by stride", tensor("FloatStorage", "0", 6, 0, {2, 3}, {4, 1})},
      {"negative offset", tensor("FloatStorage", "0", 6, -1, {2}, {1})},
      {"negative size", tensor("FloatStorage", "0", 6, 0, {-2, -3}, {3, 1})},
      {"negative stride", tensor("FloatStorage", "0", 6, 5, {6}, {-1})},
      {"offset overflows", tensor("FloatStorage", "0", 6, INT64_MAX, {2}, {1})},
      {"stride overflows", tensor("FloatStorage", "0", 6, 0, {5}, {big})},
      {"strides cancel by overflow", tensor("FloatStorage", "0", 6, 0, {3, 3}, {big, big})},
      {"sizes overflow", tensor("FloatStorage", "0", 6, 0, {big, 4, 4}, {0, 0, 0})},
      {"sizes overflow beside a zero", tensor("FloatStorage", "0", 6, 0, {0, big, big}, {0, 0, 0})},
      {"a terabyte by stride 0", tensor("FloatStorage", "0", 6, 0, {std::int64_t{1} << 38}, {0})},
      {"a terabyte of bools", tensor("BoolStorage", "0", 24, 0, {std::int64_t{1} << 38}, {0})},
      {"empty and enormous", tensor("FloatStorage", "0", 6, 0, {big, 0, 8}, {0, 0, 0})},
      {"fewer strides than sizes", tensor("FloatStorage", "0", 6, 0, {2, 3}, {1})},
      {"seventeen dimensions",
       tensor("FloatStorage", "0", 6, 0, std::vector<std::int64_t>(17, 1), std::vector<std::int64_t>(17, 1))},
      {"storage shorter than the record", tensor("FloatStorage", "0", 5, 0, {5}, {1})},
      {"storage longer than the record", tensor("FloatStorage", "0", 7, 0, {7}, {1})},
      {"storage of negative size", tensor("FloatStorage", "0", -6, 0, {2}, {1})},
      {"storage whose bytes overflow", tensor("DoubleStorage", "0", (std::int64_t{1} << 61) + 3, 0, {2}, {1})},
      {"storage of another type", tensor("DoubleStorage", "0", 6, 0, {6}, {1})},
      {"no such storage", tensor("FloatStorage", "1", 6, 0, {6}, {1})},
      {"a storage outside", tensor("FloatStorage", "../../etc/passwd", 6, 0, {6}, {1})},
      {"another record as storage", tensor("ByteStorage", "../byteorder", 6, 0, {6}, {1})},
      {"storage class that is a dtype", tensor("float32", "0", 6, 0, {6}, {1})},
      {"a size that is text", global("torch._utils", "_rebuild_tensor_v2") + "(" + storage("FloatStorage", "0", 6) + whole(0) +
                                  "(" + text("2") + "t" + tuple({1}) + "\x89})tR"},
      {"no arguments", global("torch._utils", "_rebuild_tensor_v2") + ")R"},
      {"no storage", global("torch._utils", "_rebuild_tensor_v2") + "(" + text("0") + whole(0) + ")" + ")" + "\x89}tR"},
      {"a parameter of nothing", global("torch._utils", "_rebuild_parameter") + "(N\x88}tR"},
      {"a persistent id of nothing", "NQ"},
      {"a persistent id too short", "(" + text("storage") + "tQ"},
      {"a long torch.Size", global("torch", "Size") + tuple(std::vector<std::int64_t>(100, 1)) + "\x85R"},
      {"an OrderedDict with arguments", global("collections", "OrderedDict") + ")\x85R"},
  };
  for (const auto& [name, value] : lies) add(name, state_dict(value), kCorrupt);
  files.push_back(
      {"a bool of 2", pth(state_dict(tensor("BoolStorage", "0", 24, 0, {24}, {1})), std::string(24, '\2')), kCorrupt});

  // Pickles that are no pickles, and pickles that want room.
  const std::string start = "\x80\x02";
  const auto repeat = [](const std::string& unit, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += unit;
    return out;
  };
  const std::vector<std::pair<std::string, std::string>> broken = {
      {"nothing", ""},
      {"no protocol", "}."},
      {"protocol 0", std::string("\x80\0}.", 4)},
      {"protocol 9", "\x80\x09}."},
      {"no end", start + "}"},
      {"an empty stack", start + "."},
      {"two results", start + "}}."},
      {"an open mark", start + "}(."},
      {"bytes behind the end", start + "}.}"},
      {"a tuple without mark", start + "}t."},
      {"taking beyond a mark", start + "}(\x85."},
      {"an unknown memo", start + "h\x05."},
      {"an unknown opcode", start + "\xff."},
      {"a textual number", start + "I5\n."},
      {"a text of 4 GiB", start + "X\xff\xff\xff\xff"
                                  "a."},
      {"a text of 2^63", start + "\x8d" + little(~0ull >> 1, 8) + "a."},
      {"a text of 2^64", start + "\x8d" + little(~0ull, 8) + "a."},
      {"bytes of 2^64", start + "\x8e" + little(~0ull, 8) + "a."},
      {"a number of 4 GiB", start + "\x8b\xff\xff\xff\xff."},
      {"a frame of 2^64", start + "\x95" + little(~0ull, 8) + "}."},
      {"a global without end", start + "ctorch\nFloat"},
      {"appending to a dict", start + "}Na."},
      {"setting in a list", start + "]NNs."},
      {"half an item", start + "}(Nu."},
      {"ten thousand marks", start + repeat("(", 10'000) + "."},
      {"two million and one objects", start + repeat("N0", 2'000'001) + "}."},
      {"a stack of two million", start + repeat("N", 1'999'999) + "."},
      {"doubling for ever", start + "N" + repeat("2", 1'500'000) + "."},
      {"a memo of three million", start + "}" + repeat("\x94", 3'000'000) + "."},
  };
  for (const auto& [name, pickle] : broken) add(name, pickle, kCorrupt);
  // An expanded bool, asked for again and again: each check is cheap, all together are not.
  std::string again = "\x80\x02}" + global("torch._utils", "_rebuild_tensor_v2") + "q\x02(" + storage("BoolStorage", "0", 24) +
                      whole(0) + tuple({1 << 22}) + tuple({0}) + "\x89}tq\x03" + "00" + text("w");
  add("one tensor a hundred thousand times", again + repeat("h\x02h\x03R0", 100'000) + "h\x02h\x03Rs.", kCorrupt);
  add("a list instead of a dict", start + "].", kFormat);
  add("nothing but numbers", start + "}" + text("epoch") + "K\x03s.", kFormat);
  add("a hundred thousand nested lists", start + "}" + text("w") + repeat("]", 100'000) + repeat("a", 99'999) + "s.", kFormat);

  // Containers that lie.
  const auto plain = state_dict(good);
  const Record pickle{"archive/data.pkl", plain}, bytes{"archive/data/0", data};
  const std::vector<std::tuple<std::string, std::vector<Record>, std::string>> archives = {
      {"a record twice", {pickle, bytes, bytes}, kCorrupt},
      {"the pickle twice", {pickle, pickle, bytes}, kCorrupt},
      {"two folders with a pickle", {pickle, {"other/data.pkl", plain}, bytes}, kCorrupt},
      {"a path upwards", {pickle, bytes, {"archive/../../x", "x"}}, kCorrupt},
      {"a path upwards at the start", {pickle, bytes, {"../x", "x"}}, kCorrupt},
      {"an absolute path", {pickle, bytes, {"/etc/passwd", "x"}}, kCorrupt},
      {"a backslash", {pickle, bytes, {"archive\\x", "x"}}, kCorrupt},
      {"a NUL in a name", {pickle, bytes, {std::string("archive/data/0\0", 15), "x"}}, kCorrupt},
      {"a nameless record", {pickle, bytes, {"", "x"}}, kCorrupt},
      {"a compressed record", {pickle, {"archive/data/0", data, 8}}, kFormat},
      {"an encrypted record", {pickle, {"archive/data/0", data, 0, 1}}, kFormat},
      {"a record of 4 GiB", {pickle, {"archive/data/0", data, 0, 0, 0xfffffffe}}, kCorrupt},
      {"a zip64 size without field", {pickle, {"archive/data/0", data, 0, 0, 0xffffffff}}, kCorrupt},
      {"a record longer than it is", {pickle, {"archive/data/0", data, 0, 0, 4000}}, kCorrupt},
      {"a header beyond the file", {pickle, {"archive/data/0", data, 0, 0, -1, 1 << 30}}, kCorrupt},
      {"a record at another's place", {pickle, {"archive/data/0", data, 0, 0, -1, 0}}, kCorrupt},
      {"no pickle", {bytes}, kFormat},
      {"a TorchScript program", {{"archive/constants.pkl", "x"}, pickle, bytes}, kFormat},
      {"a big-endian file", {pickle, {"archive/byteorder", "big"}, bytes}, kFormat},
      {"no records", {}, kFormat},
  };
  for (const auto& [name, records, code] : archives) files.push_back({name, zip(records), code});
  files.push_back({"only the magic", "PK\x03\x04", kCorrupt});
  files.push_back({"a zip in front of which something stands", "PKxx" + pth(plain, data), kCorrupt});
  // A record inside another one's bytes, as zip bombs that expand without compression have it.
  const Record inner{"archive/data/0", "x"};
  const Record outer{"archive/o", local(inner) + inner.bytes};
  files.push_back({"a record within a record", zip({outer, {inner.name, inner.bytes, 0, 0, -1, 30 + 9}, pickle}), kCorrupt});
  return files;
}

struct Harmless {
  std::string name, bytes;
  std::vector<float> values;  // of the only tensor
};

inline std::vector<Harmless> harmless() {
  std::string data;
  for (float value : {0.f, 1.f, 2.f, 3.f, 4.f, 5.f}) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    data += little(bits, 4);
  }
  const auto good = tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1});
  const auto dict = [&](const std::string& value) { return pth(state_dict(value), data); };
  const auto untyped =
      "(" + text("storage") + global("torch.storage", "UntypedStorage") + text("0") + text("cuda:3") + whole(24) + "tQ";
  return {
      {"row-major", dict(good), {0, 1, 2, 3, 4, 5}},
      {"transposed", dict(tensor("FloatStorage", "0", 6, 0, {3, 2}, {1, 3})), {0, 3, 1, 4, 2, 5}},
      {"every second", dict(tensor("FloatStorage", "0", 6, 1, {3}, {2})), {1, 3, 5}},
      {"expanded", dict(tensor("FloatStorage", "0", 6, 4, {2, 2}, {0, 0})), {4, 4, 4, 4}},
      {"overlapping windows", dict(tensor("FloatStorage", "0", 6, 0, {2, 3}, {1, 1})), {0, 1, 2, 1, 2, 3}},
      {"a scalar", dict(tensor("FloatStorage", "0", 6, 5, {}, {})), {5}},
      {"stride of a single row is free", dict(tensor("FloatStorage", "0", 6, 3, {1, 3}, {1000, 1})), {3, 4, 5}},
      {"untyped storage",
       dict(global("torch._utils", "_rebuild_tensor_v3") + "(" + untyped + whole(2) + tuple({2}) + tuple({1}) + "\x89" + "}" +
            global("torch", "float32") + "tR"),
       {2, 3}},
      {"the last of two equal keys",
       pth("\x80\x02}(" + text("w") + tensor("FloatStorage", "0", 6, 0, {1}, {1}) + text("w") +
               tensor("FloatStorage", "0", 6, 5, {1}, {1}) + "u.",
           data),
       {5}},
      {"a list that holds itself",
       pth("\x80\x02}" + text("l") +
               "]q\x01h\x01"
               "as" +
               text("w") + good + "s.",
           data),
       {0, 1, 2, 3, 4, 5}},
      {"wrapped",
       pth("\x80\x02}" + text("epoch") + "K\x03s" + text("state_dict") + "}" + text("w") + good + "ss.", data),
       {0, 1, 2, 3, 4, 5}},
      {"module versions",
       pth("\x80\x02" + global("collections", "OrderedDict") + ")R" + text("w") + good + "s}" + text("_metadata") + "}sb.",
           data),
       {0, 1, 2, 3, 4, 5}},
  };
}

}  // namespace cellsam::weights::test::crafted
