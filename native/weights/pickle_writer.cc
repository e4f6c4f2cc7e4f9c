#include "weights/pickle_writer.h"

#include <limits>
#include <string_view>
#include <utility>

namespace cellsam::weights {
namespace {

constexpr char kFalse = '\x89', kLong1 = '\x8a';

class Opcodes {
 public:
  void raw(std::string_view bytes) { out_ += bytes; }
  void op(char opcode) { out_ += opcode; }

  void text(std::string_view text) {
    op('X');
    little(text.size(), 4);
    raw(text);
  }

  void integer(std::int64_t value) {
    if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) {
      op('J');
      little(static_cast<std::uint64_t>(value), 4);
    } else {
      op(kLong1);
      op(8);  // bytes
      little(static_cast<std::uint64_t>(value), 8);
    }
  }

  void global(std::string_view module, std::string_view name) {
    op('c');
    raw(module);
    op('\n');
    raw(name);
    op('\n');
  }

  void tuple(const std::vector<std::int64_t>& values) {
    op('(');
    for (auto value : values) integer(value);
    op('t');
  }

  void ordered_dict() {
    global("collections", "OrderedDict");
    raw(")R");
  }

  std::string take() { return std::move(out_); }

 private:
  void little(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  std::string out_;
};

void write_tensor(Opcodes& out, const PickledTensor& tensor) {
  std::vector<std::int64_t> strides(tensor.sizes.size());
  std::int64_t items = 1;
  for (std::size_t i = tensor.sizes.size(); i-- > 0;) {
    strides[i] = items;
    items *= tensor.sizes[i] > 0 ? tensor.sizes[i] : 1;
  }
  for (auto size : tensor.sizes) items = size == 0 ? 0 : items;

  out.global("torch._utils", "_rebuild_tensor_v2");
  out.raw("((");
  out.text("storage");
  out.global("torch", tensor.type->storage);
  out.text(tensor.storage);
  out.text("cpu");
  out.integer(items);
  out.raw("tQ");
  out.integer(0);
  out.tuple(tensor.sizes);
  out.tuple(strides);
  out.op(kFalse);  // requires_grad
  out.ordered_dict();
  out.raw("tR");
}

}  // namespace

std::string write_pickle(const std::vector<PickledTensor>& tensors) {
  Opcodes out;
  out.raw("\x80\x02");
  out.ordered_dict();
  out.op('(');
  for (const auto& tensor : tensors) {
    out.text(tensor.name);
    write_tensor(out, tensor);
  }
  out.raw("u.");
  return out.take();
}

}  // namespace cellsam::weights
