// Features of a frozen backbone, computed once. A backbone that does not train returns
// the same features for the same image, and they are most of the work of a training step.
// So they are kept on disk for all epochs, folds, trials and runs (feature_file.h).
//
// Features are found by the content of the image as the backbone gets it, after augmentation. So nothing depends on where an
// image comes from: the eight flips and quarter turns of a tile are eight images, a tile has the same features in every store,
// and validation uses those of training.
#pragma once

#include <ATen/ATen.h>

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/options.h"
#include "cache/backbones.h"
#include "cache/feature_file.h"
#include "data/batch.h"
#include "engine.h"
#include "settings/features.h"

namespace cellsam::cache {

struct FeatureOptions {
  std::string folder;             // empty: nothing is kept
  std::int64_t disk_limit = -1;   // bytes of the folder; negative: see FeatureFolder
  std::int64_t memory_limit = 0;  // bytes of mapped features; 0: as many as the system allows
  // "fp32", "bf16", or "auto": bf16 in a session of that precision, else fp32.
  std::string dtype{setting::features::feature_dtype.default_value};
  std::string version;  // of the package: another one may compute other bits
};
// Reads feature_cache_dir, feature_cache_gb (0: nothing is kept), feature_cache_memory_gb, feature_dtype and
// feature_cache_version. Throws ERR_INVALID_ARGUMENT for an unknown feature_dtype.
FeatureOptions read_feature_options(Options& options);

struct FeatureCounts {
  std::int64_t kept = 0;      // features that were on disk
  std::int64_t computed = 0;  // features that were not
};

class FrozenBackbone {
 public:
  // The model must outlive this object.
  FrozenBackbone(model::CellSam& model, const BackboneSetting& setting, FeatureOptions options);

  // Features [B,g,g,E] of the batch's images on the device, rounded to the features' type, without a graph. On the CPU images
  // go through the backbone one by one, which is as fast: the last bits of a matrix product depend on what else is in the
  // batch, and features must be the same kept or computed. A GPU gets those of a batch together, except where it is to be
  // deterministic and features are kept. Throws ERR_DISPOSED when `control` is abandoned.
  at::Tensor operator()(const data::Batch& batch, const Control& control);

  // Reads kept features of a batch into memory, for a GPU into memory that it can copy from. For the thread that prepares
  // batches.
  void prefetch(const data::Batch& batch);

  FeatureCounts take_counts() { return std::exchange(counts_, {}); }  // since the last call
  std::vector<std::string> take_notices();

 private:
  std::shared_ptr<FeatureFile> file();
  std::string key() const;
  std::int64_t weights_version() const;
  void keep(FeatureFile& file, const std::vector<ContentHash>& hashes, const at::Tensor& features);
  at::Tensor take_prefetched(const data::Batch& batch);

  model::CellSam& model_;
  BackboneSetting setting_;
  FeatureOptions options_;
  at::ScalarType dtype_;
  model::NamedTensors weights_;
  FeatureCounts counts_;
  std::int64_t opened_version_ = -1;  // weights_version() when the file was opened

  std::mutex mutex_;  // guards the rest
  std::shared_ptr<FeatureFile> file_;
  struct Prefetched {
    std::vector<ContentHash> hashes;
    at::Tensor features;  // [B,g,g,E] in pinned memory
  };
  std::deque<Prefetched> prefetched_;  // of batches to come, for a GPU
};

}  // namespace cellsam::cache
