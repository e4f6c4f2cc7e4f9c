#include "weights/pth.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <exception>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "weights/fault.h"
#include "weights/pickle_reader.h"
#include "weights/pickle_writer.h"
#include "weights/strided.h"
#include "weights/zip_reader.h"

namespace cellsam::weights {
namespace {

using Entries = std::vector<std::pair<std::string_view, const PickleNode*>>;

// The entries of a dict whose keys are text, as in Python: a repeated key has its last value and its first position.
Entries entries_of(const PickleNode& dict) {
  Entries entries;
  std::unordered_map<std::string_view, std::size_t> positions;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const auto& key = *dict.items[i];
    if (key.kind != PickleNode::Kind::text) continue;
    const auto [position, is_new] = positions.emplace(key.text, entries.size());
    if (is_new) {
      entries.emplace_back(key.text, dict.items[i + 1]);
    } else {
      entries[position->second].second = dict.items[i + 1];
    }
  }
  return entries;
}

TensorMap tensors_of(const Entries& entries) {
  TensorMap tensors;
  for (const auto& [name, node] : entries) {
    if (node->kind == PickleNode::Kind::tensor) tensors.emplace_back(name, node->tensor);
  }
  return tensors;
}

TensorMap state_dict_of(const PickleNode& root) {
  if (root.kind != PickleNode::Kind::dict) wrong_format("the file holds no dict of tensors; save the model's state_dict()");
  const auto entries = entries_of(root);
  bool wrapped = true;
  for (const auto& entry : entries) wrapped = wrapped && !entry.first.starts_with("model.");
  for (auto wrapper : {"state_dict", "model_state_dict", "model"}) {
    for (const auto& [name, node] : entries) {
      if (!wrapped || name != wrapper || node->kind != PickleNode::Kind::dict) continue;
      if (auto tensors = tensors_of(entries_of(*node)); !tensors.empty()) return tensors;
    }
  }
  auto tensors = tensors_of(entries);
  if (tensors.empty()) wrong_format("the file holds no tensors; save the model's state_dict()");
  return tensors;
}

// The folder of all records in the archive, which may have any name.
std::string folder_of(const ZipReader& zip) {
  std::string folder;
  for (const auto& [name, bytes] : zip.records()) {
    const auto slash = name.find('/');
    if (slash == name.npos) continue;
    if (name.substr(slash) == "/constants.pkl")
      wrong_format("the file is a TorchScript program; save the model's state_dict()");
    if (name.substr(slash) != "/data.pkl") continue;
    if (!folder.empty()) corrupt("the zip archive holds two pickles");
    folder = name.substr(0, slash);
  }
  if (folder.empty()) wrong_format("the zip archive was not written by torch.save (it holds no data.pkl)");
  return folder;
}

}  // namespace

TensorMap read_pth(const std::string& path) {
  const FileBytes file(path);
  return reading(path, [&] {
    const ZipReader zip(file.view());
    const auto folder = folder_of(zip);
    const auto* order = zip.find(folder + "/byteorder");
    if (order != nullptr && *order != "little")
      wrong_format("the file was written on a big-endian machine; save it again on another");

    std::map<std::string_view, c10::Storage> storages;
    const auto open_storage = [&](std::string_view key, std::int64_t bytes) {
      const auto* record = zip.find(folder + "/data/" + std::string(key));
      if (record == nullptr) corrupt("the storage " + printable(key) + " is missing");
      if (static_cast<std::int64_t>(record->size()) != bytes) corrupt("the storage " + printable(key) + " has a wrong size");
      const auto known = storages.find(key);
      if (known != storages.end()) return known->second;
      auto* data = file.data().get() + (record->data() - file.view().data());
      return storages.emplace(key, make_storage(data, bytes, file.data())).first->second;
    };
    const auto budget = static_cast<std::int64_t>(file.size()) * 4 + (std::int64_t{64} << 20);
    const PickleReader pickle(*zip.find(folder + "/data.pkl"), open_storage, budget);
    return state_dict_of(pickle.root());
  });
}

WrittenFile write_pth(const std::string& path, const TensorMap& tensors) {
  // Names of one tensor (the tied heads of the detector) become one record.
  std::map<std::tuple<const void*, std::int64_t, at::ScalarType, at::DeviceType, at::DeviceIndex>, std::string> keys;
  std::vector<at::Tensor> records;
  std::vector<PickledTensor> pickled;
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    const auto& type = type_to_write(name, tensor);
    if (!names.insert(name).second) throw Error("ERR_INVALID_ARGUMENT", "tensor " + printable(name) + " is there twice");
    const bool shareable = tensor.is_contiguous() && tensor.numel() > 0;
    auto key = std::to_string(records.size());
    if (shareable) {
      const auto device = tensor.device();
      const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
      const auto memory = std::make_tuple(tensor.const_data_ptr(), bytes, type.type, device.type(), device.index());
      key = keys.try_emplace(memory, key).first->second;
    }
    if (key == std::to_string(records.size())) records.push_back(tensor);
    pickled.push_back({name, &type, key, tensor.sizes().vec()});
  }

  CheckpointFile file(path);
  // libtorch's writer finishes the archive in its destructor, which must not throw. So errors (a full disk) are hidden from it
  // and rethrown after its destruction.
  std::exception_ptr fault;
  const auto append = [&](const void* data, std::size_t size) {
    try {
      if (!fault) file.write(data, size);
    } catch (...) {
      fault = std::current_exception();
    }
    return size;
  };
  {
    caffe2::serialize::PyTorchStreamWriter zip(append);
    const auto pickle = write_pickle(pickled);
    zip.writeRecord("data.pkl", pickle.data(), pickle.size());
    zip.writeRecord("byteorder", "little", 6);
    for (std::size_t i = 0; i < records.size() && !fault; ++i) {
      const auto host = records[i].detach().cpu().contiguous();
      zip.writeRecord("data/" + std::to_string(i), host.const_data_ptr(), host.nbytes());
    }
    zip.writeEndOfFile();
  }
  if (fault) std::rethrow_exception(fault);
  return file.commit();
}

}  // namespace cellsam::weights
