#include "weights/pickle_reader.h"

#include <utility>

#include "weights/fault.h"

namespace cellsam::weights {
namespace {

using Kind = PickleNode::Kind;

// Far above any checkpoint (a CellSAM with vit_h needs some 40 000 nodes), far below what would take much memory.
constexpr std::size_t kLargestPickle = std::size_t{32} << 20;
constexpr std::size_t kMostNodes = 2'000'000;
constexpr std::size_t kMostOnStack = 1'000'000;

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
  if (size > 8) {  // longer than any size or offset: a random state or a counter
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

}  // namespace cellsam::weights
