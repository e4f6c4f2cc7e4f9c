// Reads the pickles that torch.save writes, without executing anything: it knows containers, text, numbers and the few torch
// names that make a tensor. For every other global, and every opcode that calls or builds something else, it throws
// ERR_CHECKPOINT_UNSAFE. Opcodes and their effects on the stack are those of Python's pickletools, protocols 2 to 5.
#pragma once

#include <c10/core/Storage.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights/dtype.h"

namespace cellsam::weights {

// An object of the pickle. Nodes belong to the reader and refer to each other. They may form cycles (a list that contains
// itself), so nothing may traverse them completely.
struct PickleNode {
  enum class Kind { none, boolean, integer, real, text, bytes, tuple, list, dict, global, storage, tensor, other };
  Kind kind = Kind::none;
  std::int64_t integer = 0;          // of an integer or boolean; of a storage its number of items
  std::string_view text;             // of text or bytes; of a global "module.name"; of a storage its key
  std::vector<PickleNode*> items;    // of a tuple or list; of a dict keys and values in turn
  bool ordered = false;              // of a dict: whether it is an OrderedDict
  const NumberType* type = nullptr;  // of a storage; null if it is untyped
  at::Tensor tensor;
};

class PickleReader {
 public:
  // Returns the storage of a key, with exactly `bytes` bytes, or throws.
  using OpenStorage = std::function<c10::Storage(std::string_view key, std::int64_t bytes)>;

  // `bytes` must outlive the reader. `budget`: the most bytes for tensors that cannot share their storage. Throws
  // ERR_CHECKPOINT_UNSAFE and ERR_CHECKPOINT_CORRUPT.
  PickleReader(std::string_view bytes, OpenStorage open_storage, std::int64_t budget);

  const PickleNode& root() const { return *root_; }

 private:
  // Reading the bytes.
  std::uint64_t number(int bytes);
  std::string_view text(std::uint64_t size);
  std::string_view line();

  // The stack.
  PickleNode& make(PickleNode::Kind kind);
  void push(PickleNode& node);
  PickleNode& push_new(PickleNode::Kind kind);
  PickleNode& pop();
  PickleNode& top();
  std::vector<PickleNode*> pop_to_mark();
  void push_tuple(std::size_t size);

  // The opcodes.
  void run();
  bool step(std::uint8_t opcode);  // false after STOP
  bool step_container(std::uint8_t opcode);
  bool step_scalar(std::uint8_t opcode);
  void memoize(std::uint64_t index);
  void recall(std::uint64_t index);
  void push_integer(std::int64_t value);
  void push_long(std::uint64_t size);
  void push_text(PickleNode::Kind kind, std::uint64_t size);
  void push_global(std::string_view module, std::string_view name);
  void append(PickleNode& list, const std::vector<PickleNode*>& items);
  void set_items(PickleNode& dict, const std::vector<PickleNode*>& items);
  void load_storage();
  void reduce();
  void build();
  at::Tensor rebuild_tensor(const PickleNode& arguments, bool typed_by_argument);

  std::string_view bytes_;
  std::size_t at_ = 0;
  OpenStorage open_storage_;
  std::int64_t budget_;
  std::deque<PickleNode> nodes_;  // a deque keeps their addresses
  std::vector<PickleNode*> stack_;
  std::vector<std::size_t> marks_;  // stack heights
  std::unordered_map<std::uint64_t, PickleNode*> memo_;
  PickleNode* root_ = nullptr;
};

}  // namespace cellsam::weights
