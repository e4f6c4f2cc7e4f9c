#include "weights/checkpoint.h"

#include <array>

#include "os/file.h"
#include "weights/fault.h"
#include "weights/pth.h"
#include "weights/safetensors.h"

namespace cellsam::weights {
namespace {

constexpr const char* kKind = "cellsam.kind";
constexpr const char* kStateKind = "state-1";  // the number counts incompatible changes of the format

}  // namespace

TensorMap read_checkpoint(const std::string& path) {
  std::array<char, 9> first{};
  {
    std::error_code error;
    const os::File file(path, os::Access::read, error);
    if (!file || !file.is_regular())
      throw Error("ERR_CHECKPOINT_READ", "cannot open " + path + ": no such file, or no permission", {{"path", path}});
    file.read(first.data(), first.size(), 0, error);  // a file that is shorter or cannot be read has no known format
  }
  const std::string_view magic(first.data(), first.size());
  if (magic.starts_with("PK")) return read_pth(path);
  if (magic[8] == '{') return read_safetensors(path).tensors;
  return reading(path, [&]() -> TensorMap {
    if (magic[0] == '\x80') {
      wrong_format(
          "this is the old form of .pth, a bare pickle; load it in Python and save it again with torch.save of torch 1.6 or "
          "newer");
    }
    wrong_format("this is neither a .pth file of torch.save nor a safetensors file");
  });
}

WrittenFile write_state(const std::string& path, const TensorMap& tensors, const std::map<std::string, std::string>& values) {
  Metadata metadata = values;
  if (!metadata.emplace(kKind, kStateKind).second)
    throw Error("ERR_INVALID_ARGUMENT", std::string("the name ") + kKind + " is reserved");
  return write_safetensors(path, tensors, metadata);
}

StateFile read_state(const std::string& path) {
  auto file = read_safetensors(path);
  return reading(path, [&]() -> StateFile {
    const auto kind = file.metadata.extract(kKind);
    if (kind.empty() || kind.mapped() != kStateKind)
      wrong_format("this is no state file of cellsam-train, or one of another version");
    if (!file.checked) corrupt("the file has lost its SHA-256");
    return {std::move(file.tensors), std::move(file.metadata)};
  });
}

}  // namespace cellsam::weights
