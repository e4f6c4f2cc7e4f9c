#include "weights/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "weights/fault.h"
#include "weights/safetensors_header.h"
#include "weights/strided.h"

namespace cellsam::weights {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;  // the limit of the format's own library

// SHA-256 of the file with zeros for the digits of the checksum.
std::string checksum(std::string_view prefix, std::size_t checksum_at, const std::vector<std::string_view>& data) {
  Sha256 sum;
  sum.update(prefix.data(), checksum_at);
  const std::string zeros(kChecksumDigits, '0');
  sum.update(zeros.data(), zeros.size());
  const auto rest = prefix.substr(checksum_at + kChecksumDigits);
  sum.update(rest.data(), rest.size());
  for (auto part : data) sum.update(part.data(), part.size());
  return sum.hex();
}

std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> strides(sizes.size());
  std::int64_t items = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = items;
    items *= std::max<std::int64_t>(sizes[i], 1);
  }
  return strides;
}

// Checks that every byte after the header belongs to exactly one tensor, as the format demands.
void check_ranges(std::vector<HeaderTensor>& tensors, std::int64_t data_bytes) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::int64_t reached = 0;
  for (const auto& tensor : tensors) {
    if (tensor.begin != reached || tensor.end < tensor.begin)
      corrupt("tensor " + printable(tensor.name) + " has a wrong place in the file");
    reached = tensor.end;
  }
  if (reached != data_bytes) corrupt("the tensors do not fill the file (was it cut off?)");
}

Safetensors parse(const FileBytes& file) {
  const auto view = file.view();
  std::uint64_t length = 0;
  if (view.size() < kLengthBytes) corrupt("the file is too short");
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::uint64_t{static_cast<std::uint8_t>(view[i])} << (8 * i);
  if (length > kLargestHeader || length > view.size() - kLengthBytes) corrupt("the safetensors header is longer than the file");

  auto header = parse_header(view.substr(kLengthBytes, length));
  const auto data_at = kLengthBytes + length;
  check_ranges(header.tensors, static_cast<std::int64_t>(view.size() - data_at));

  Safetensors found;
  const auto format = header.metadata.extract(std::string(kFormat));
  const auto sum = header.metadata.extract(std::string(kChecksum));
  if (sum.empty() != format.empty()) corrupt("the file has lost its SHA-256");
  if (!sum.empty()) {
    const auto at = kLengthBytes + header.checksum_at;
    // The digits must be in the file as they are: with an escape among them, other bytes would be replaced by zeros.
    if (sum.mapped().size() != kChecksumDigits || view.substr(at, kChecksumDigits) != sum.mapped() ||
        checksum(view.substr(0, data_at), at, {view.substr(data_at)}) != sum.mapped()) {
      corrupt("the file's SHA-256 is wrong");
    }
    found.checked = true;
  }
  std::int64_t budget = static_cast<std::int64_t>(view.size());
  for (const auto& tensor : header.tensors) {
    const auto* type = find_type(&NumberType::safetensors, tensor.dtype);
    if (type == nullptr) corrupt("tensor " + printable(tensor.name) + " has the unknown dtype " + printable(tensor.dtype));
    const auto bytes = tensor.end - tensor.begin;
    if (checked_bytes(tensor.shape, type->bytes) != bytes)
      corrupt("tensor " + printable(tensor.name) + " has a shape that does not fit its bytes");
    const auto storage = make_storage(file.data().get() + data_at + tensor.begin, bytes, file.data());
    found.tensors.emplace_back(tensor.name,
                               strided_tensor(storage, *type, 0, tensor.shape, contiguous_strides(tensor.shape), budget));
  }
  found.metadata = std::move(header.metadata);
  return found;
}

}  // namespace

Safetensors read_safetensors(const std::string& path) {
  const FileBytes file(path);
  return reading(path, [&] { return parse(file); });
}

WrittenFile write_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata) {
  Header header;
  header.metadata = metadata;
  for (auto reserved : {kChecksum, kFormat}) {
    if (metadata.contains(std::string(reserved)))
      throw Error("ERR_INVALID_ARGUMENT", "the metadata name " + printable(reserved) + " is reserved");
  }
  std::set<std::string> names{std::string(kMetadata)};
  std::vector<at::Tensor> host;  // the bytes are needed twice, for the checksum and for the file
  std::vector<std::string_view> data;
  std::int64_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto& type = type_to_write(name, tensor);
    if (!names.insert(name).second)
      throw Error("ERR_INVALID_ARGUMENT", "tensor " + printable(name) + " is there twice, or its name is reserved");
    host.push_back(tensor.detach().cpu().contiguous());
    const auto bytes = host.back().nbytes();
    data.emplace_back(static_cast<const char*>(host.back().const_data_ptr()), bytes);
    header.tensors.push_back(
        {name, std::string(type.safetensors), tensor.sizes().vec(), at, at + static_cast<std::int64_t>(bytes)});
    at += static_cast<std::int64_t>(bytes);
  }

  auto prefix = write_header(header);
  std::string length;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length += static_cast<char>(prefix.size() >> (8 * i));
  prefix = length + prefix;
  const auto checksum_at = kLengthBytes + header.checksum_at;
  prefix.replace(checksum_at, kChecksumDigits, checksum(prefix, checksum_at, data));

  CheckpointFile file(path);
  file.write(prefix.data(), prefix.size());
  for (auto part : data) file.write(part.data(), part.size());
  return file.commit();
}

}  // namespace cellsam::weights
