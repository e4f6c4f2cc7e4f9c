// The part of PickleReader that knows torch: which globals are allowed, and what the calls that torch.save writes mean.
#include <string>

#include "weights/fault.h"
#include "weights/pickle_reader.h"
#include "weights/strided.h"

namespace cellsam::weights {
namespace {

using Kind = PickleNode::Kind;

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kTensor2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kTensor3 = "torch._utils._rebuild_tensor_v3";  // dtypes that have no typed storage
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kUntyped = "torch.storage.UntypedStorage";

struct Global {
  std::string_view name;
  const NumberType* type = nullptr;
};

// The full name of an allowed global, and the type of numbers of a
// storage class or a dtype. `name` is empty if it is not allowed.
Global find_global(std::string_view module, std::string_view name) {
  for (auto known : {kOrderedDict, kTensor2, kTensor3, kParameter, kSize, kUntyped}) {
    if (known.size() == module.size() + 1 + name.size() && known.starts_with(module) && known[module.size()] == '.' &&
        known.ends_with(name)) {
      return {known, nullptr};
    }
  }
  if (module != "torch") return {};
  if (const auto* type = find_type(&NumberType::storage, name)) return {type->storage, type};
  if (const auto* type = find_type(&NumberType::name, name)) return {type->name, type};
  return {};
}

std::int64_t whole(const PickleNode& node) {
  if (node.kind != Kind::integer) corrupt("a tensor in the pickle has a size, stride or offset that is no integer");
  return node.integer;
}

std::vector<std::int64_t> wholes(const PickleNode& node) {
  if (node.kind != Kind::tuple || node.items.size() > kMostDimensions) corrupt("a tensor in the pickle has no proper shape");
  std::vector<std::int64_t> numbers;
  for (const auto* item : node.items) numbers.push_back(whole(*item));
  return numbers;
}

}  // namespace

void PickleReader::push_global(std::string_view module, std::string_view name) {
  const auto found = find_global(module, name);
  if (found.name.empty()) unsafe(std::string(module) + "." + std::string(name));
  auto& node = push_new(Kind::global);
  node.text = found.name;
  node.type = found.type;
}

// ("storage", class, key, device, items). The device is ignored, as everything is read to the CPU.
void PickleReader::load_storage() {
  const auto& id = pop();
  if (id.kind != Kind::tuple || id.items.size() != 5 || id.items[0]->kind != Kind::text || id.items[0]->text != "storage" ||
      id.items[1]->kind != Kind::global || id.items[2]->kind != Kind::text || id.items[3]->kind != Kind::text ||
      id.items[4]->kind != Kind::integer) {
    corrupt("the pickle refers to something that is no storage");
  }
  const auto& kind = *id.items[1];
  const bool untyped = kind.text == kUntyped;
  if (!untyped && (kind.type == nullptr || kind.text != kind.type->storage))
    corrupt("a storage in the pickle has an unknown class");
  auto& node = push_new(Kind::storage);
  node.text = id.items[2]->text;
  node.type = untyped ? nullptr : kind.type;
  node.integer = id.items[4]->integer;
}

// (storage, offset, sizes, strides, requires_grad, hooks[, metadata]); version 3 has the dtype before the metadata.
at::Tensor PickleReader::rebuild_tensor(const PickleNode& arguments, bool typed_by_argument) {
  const auto& items = arguments.items;
  const std::size_t least = typed_by_argument ? 7 : 6;
  if (items.size() < least || items.size() > least + 1 || items[0]->kind != Kind::storage) {
    corrupt("a tensor in the pickle has the wrong arguments");
  }
  const auto& storage = *items[0];
  const auto* type = storage.type;
  if (typed_by_argument) {
    type = items[6]->kind == Kind::global ? items[6]->type : nullptr;
    if (type == nullptr || items[6]->text != type->name) corrupt("a tensor in the pickle has no dtype");
  }
  if (type == nullptr) corrupt("a tensor in the pickle has no dtype");
  const auto bytes = checked_bytes({storage.integer}, storage.type == nullptr ? 1 : storage.type->bytes);
  return strided_tensor(open_storage_(storage.text, bytes), *type, whole(*items[1]), wholes(*items[2]), wholes(*items[3]),
                        budget_);
}

void PickleReader::reduce() {
  const auto& arguments = pop();
  const auto& called = pop();
  if (called.kind != Kind::global || arguments.kind != Kind::tuple) corrupt("the pickle calls something that is no function");
  const auto& items = arguments.items;
  if (called.text == kTensor2 || called.text == kTensor3) {
    auto tensor = rebuild_tensor(arguments, called.text == kTensor3);
    push_new(Kind::tensor).tensor = std::move(tensor);
  } else if (called.text == kParameter) {  // (tensor, requires_grad, hooks), of which only the tensor is used
    if (items.size() != 3 || items[0]->kind != Kind::tensor) corrupt("a parameter in the pickle has the wrong arguments");
    push_new(Kind::tensor).tensor = items[0]->tensor;
  } else if (called.text == kOrderedDict) {
    if (!items.empty()) corrupt("an OrderedDict in the pickle has arguments");
    push_new(Kind::dict).ordered = true;
  } else if (called.text == kSize) {
    // The limit also prevents that a pickle copies one long tuple a million times.
    if (items.size() != 1 || items[0]->kind != Kind::tuple || items[0]->items.size() > kMostDimensions) {
      corrupt("a torch.Size in the pickle has the wrong arguments");
    }
    push_new(Kind::tuple).items = items[0]->items;
  } else {
    unsafe("a call of " + std::string(called.text));
  }
}

// A state dict is an OrderedDict with an attribute `_metadata` (versions of modules). Nothing else may have attributes.
void PickleReader::build() {
  const auto& state = pop();
  const auto& object = top();
  if (object.kind != Kind::dict || !object.ordered || state.kind != Kind::dict) unsafe("the state of an object (opcode BUILD)");
}

}  // namespace cellsam::weights
