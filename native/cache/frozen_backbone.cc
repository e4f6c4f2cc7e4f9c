#include "cache/frozen_backbone.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "base/stop_if_abandoned.h"
#include "device/gpu.h"
#include "ops/epilogues.h"
#include "ops/grid_attention.h"
#include "settings/features.h"
#include "weights/layout_names.h"
#include "weights/sha256.h"

namespace cellsam::cache {
namespace {

constexpr int kKeyFormat = 2;  // increase it, and features of older versions are not used
constexpr std::size_t kKeyDigits = 32;
constexpr std::size_t kPrefetched = data::BatchLoader::kMostThreads + 1;  // batches: each thread has one, the stage has one

std::int64_t gigabytes(double number) { return static_cast<std::int64_t>(std::min(number * 1e9, 9e18)); }

at::ScalarType feature_type(const std::string& dtype, device::Precision precision) {
  if (dtype == "fp32") return at::kFloat;
  if (dtype == "bf16") return at::kBFloat16;
  return precision == device::Precision::bf16 ? at::kBFloat16 : at::kFloat;
}

// A batch that data::assemble did not make may have no hashes.
ContentHash hash_of_image(const data::Batch& batch, std::int64_t i) {
  if (i < std::ssize(batch.hashes)) return batch.hashes[static_cast<std::size_t>(i)];
  const auto image = batch.images[i].contiguous();
  return content_hash(image.data_ptr(), image.nbytes());
}

}  // namespace

FeatureOptions read_feature_options(Options& options) {
  FeatureOptions read;
  read.folder = options.text("feature_cache_dir", "");
  const auto disk = options.read(setting::features::feature_cache_gb);
  const auto memory = options.read(setting::features::feature_cache_memory_gb);
  read.disk_limit = disk ? gigabytes(*disk) : -1;
  read.memory_limit = memory ? gigabytes(*memory) : 0;
  read.dtype = options.read(setting::features::feature_dtype);
  read.version = options.text("feature_cache_version", "");
  if (read.disk_limit == 0) read.folder.clear();
  return read;
}

FrozenBackbone::FrozenBackbone(model::CellSam& model, const BackboneSetting& setting, FeatureOptions options)
    : model_(model), setting_(setting), options_(std::move(options)), dtype_(feature_type(options_.dtype, setting.precision)) {
  const auto prefix = setting.backbone == Backbone::CellFinder ? std::string(weights::kCellFinderBackbone)
                                                               : mask_model_prefix(model) + "image_encoder.";
  for (const auto& [name, tensor] : model->unique_parameters()) {
    if (name.starts_with(prefix) && !name.starts_with(prefix + "neck."))
      weights_.emplace_back(name.substr(prefix.size()), tensor);
  }
}

at::Tensor FrozenBackbone::operator()(const data::Batch& batch, const Control& control) {
  at::NoGradGuard no_grad;
  const auto file = this->file();
  const auto count = batch.images.size(0), side = model_->size().grid(), width = model_->size().embed_dim;
  const auto as_computed = [&](const at::Tensor& features) {
    return setting_.precision == device::Precision::fp32 ? features.to(at::kFloat) : features;
  };
  if (const auto ready = file ? take_prefetched(batch) : at::Tensor(); ready.defined()) {
    counts_.kept += count;
    return as_computed(upload(ready, setting_.device));
  }

  std::vector<at::Tensor> features(static_cast<std::size_t>(count));
  std::vector<std::int64_t> missing;
  std::vector<ContentHash> hashes;
  // The features of all that are missing so far.
  const auto compute = [&] {
    const bool all = std::ssize(missing) == count;
    const auto images = all ? batch.images : batch.images.index_select(0, at::tensor(missing, at::kLong));
    const auto computed = run_backbone(model_, setting_, images).to(dtype_).contiguous();
    if (file && batch.cacheable) keep(*file, hashes, computed);
    for (std::size_t i = 0; i < missing.size(); ++i)
      features[static_cast<std::size_t>(missing[i])] = computed[static_cast<std::int64_t>(i)];
    counts_.computed += std::ssize(missing);
    missing.clear();
    hashes.clear();
    return all ? computed : at::Tensor();
  };
  const bool together =
      !setting_.device.is_cpu() && !(file && batch.cacheable && at::globalContext().deterministicAlgorithms());
  at::Tensor batched;
  for (std::int64_t i = 0; i < count; ++i) {
    stop_if_abandoned(control);
    const auto hash = hash_of_image(batch, i);
    if (const auto* kept = file ? file->find(hash) : nullptr) {
      ++counts_.kept;
      // The mapping is read-only and lives as long as a tensor that refers to it. No layer writes to its input.
      const auto mapped = at::from_blob(
          const_cast<void*>(kept), {side, side, width}, [file](void*) {}, dtype_);
      features[static_cast<std::size_t>(i)] = upload(mapped, setting_.device);
      continue;
    }
    missing.push_back(i);
    hashes.push_back(hash);
    if (!together) batched = compute();
  }
  if (!missing.empty()) batched = compute();
  if (!batched.defined()) batched = count == 1 ? features[0].unsqueeze(0) : at::stack(features);
  return as_computed(batched);
}

void FrozenBackbone::keep(FeatureFile& file, const std::vector<ContentHash>& hashes, const at::Tensor& features) {
  const auto host = features.cpu();
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const auto of_image = host[static_cast<std::int64_t>(i)];
    // Features that are not finite are computed again, so that NonFiniteTrace finds their origin in the backbone.
    if (std::isfinite(of_image.sum(at::kFloat).item<double>())) file.add(hashes[i], of_image.data_ptr());
  }
}

// Into pinned memory only for a GPU, and only when all are there: then one copy brings them to the device. Several threads of
// the loader come here, in any order; what is left of an epoch that was stopped makes way in the end.
void FrozenBackbone::prefetch(const data::Batch& batch) {
  std::shared_ptr<FeatureFile> file;
  {
    std::lock_guard lock(mutex_);
    file = file_;
  }
  if (!file) return;
  std::vector<const void*> found;
  for (const auto& hash : batch.hashes) found.push_back(file->find(hash));
  const bool all = !found.empty() && std::find(found.begin(), found.end(), nullptr) == found.end();
  if (setting_.device.is_cpu() || !all) return;
  const auto side = model_->size().grid();
  const auto options = at::TensorOptions(dtype_).pinned_memory(true);
  const auto features = at::empty({std::ssize(found), side, side, model_->size().embed_dim}, options);
  const auto bytes = features.nbytes() / found.size();
  // memcpy, not copy_, which would start a second pool of OpenMP threads on the loader's thread.
  for (std::size_t i = 0; i < found.size(); ++i)
    std::memcpy(static_cast<char*>(features.data_ptr()) + i * bytes, found[i], bytes);
  std::lock_guard lock(mutex_);
  prefetched_.push_back({batch.hashes, features});
  if (prefetched_.size() > kPrefetched) prefetched_.pop_front();
}

at::Tensor FrozenBackbone::take_prefetched(const data::Batch& batch) {
  std::lock_guard lock(mutex_);
  for (auto at = prefetched_.begin(); at != prefetched_.end(); ++at) {
    if (at->hashes != batch.hashes) continue;
    auto features = std::move(at->features);
    prefetched_.erase(at);
    return features;
  }
  return {};
}

std::vector<std::string> FrozenBackbone::take_notices() { return file_ ? file_->take_notices() : std::vector<std::string>(); }

// Opens another file when the weights have changed: they may be loaded,
// or copied from the other backbone, while a stage is open.
std::shared_ptr<FeatureFile> FrozenBackbone::file() {
  if (options_.folder.empty()) return nullptr;
  const auto version = weights_version();
  if (file_ && version == opened_version_) return file_;
  const FeatureFolder folder(options_.folder, options_.disk_limit);
  const auto side = model_->size().grid();
  const auto bytes = side * side * model_->size().embed_dim * static_cast<std::int64_t>(at::elementSize(dtype_));
  auto opened = std::make_shared<FeatureFile>(folder, key(), bytes, options_.memory_limit);
  std::lock_guard lock(mutex_);
  file_ = std::move(opened);
  prefetched_.clear();
  opened_version_ = version;
  return file_;
}

// Grows with every change of the weights in place. The number of threads is part of it: sessions that share the cores may get
// another one for each command, and the last bits of sums depend on it.
std::int64_t FrozenBackbone::weights_version() const {
  std::int64_t version = static_cast<std::int64_t>(at::get_num_threads()) << 48;
  for (const auto& [name, tensor] : weights_) version += static_cast<std::int64_t>(tensor._version());
  return version;
}

// A hash of everything that the bits of features depend on, except the image.
std::string FrozenBackbone::key() const {
  const auto& size = model_->size();
  const bool cpu = setting_.device.is_cpu();
  std::ostringstream text;
  text << "features " << kKeyFormat << "\npackage " << options_.version << "\ntorch " << TORCH_VERSION  //
       << "\ninput " << (setting_.backbone == Backbone::CellFinder ? "detector" : "encoder")            //
       << ' ' << (setting_.preprocessing == data::Preprocessing::Adv ? "adv" : "plain")                 //
       << "\nsize " << size.image_size << ' ' << size.patch << ' ' << size.heads << ' ' << size.window << ' ';
  for (auto block : size.global_blocks) text << ' ' << block;
  text << "\nprecision " << device::name_of(setting_.precision)  //
       << "\ndtype " << at::toString(dtype_)                     //
       << "\ndevice " << device::model_of(setting_.device);
  // The order of sums depends on the instruction set, the number of threads and the kernels.
  if (cpu) {
    text << ' ' << at::get_cpu_capability() << ' ' << at::get_num_threads() << ' ' << ops::grid_attention_kernel().on() << ' '
         << ops::fused_epilogues().on();
  }
  text << "\ndeterministic " << at::globalContext().deterministicAlgorithms() << '\n';
  weights::Sha256 sum;
  for (const auto& [name, tensor] : weights_) {
    const auto host = tensor.detach().cpu().contiguous();
    text << name << ' ' << at::toString(host.scalar_type()) << ' ' << host.sizes() << '\n';
    sum.update(host.data_ptr(), host.nbytes());
  }
  const auto described = text.str();
  sum.update(described.data(), described.size());
  return sum.hex().substr(0, kKeyDigits);
}

}  // namespace cellsam::cache
