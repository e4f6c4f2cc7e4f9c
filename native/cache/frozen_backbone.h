// The outputs of frozen backbones. A backbone that does not train answers the same for the same picture, and it is most of a
// step's work: what it answered is kept on disk for all epochs, folds, trials and runs (feature_file.h).
//
// A feature is known by the content of the picture as the backbone gets it, flipped or turned as it may be. So nothing depends
// on how pictures come about: the eight flips and turns of a tile are eight pictures, a tile has the same features in every
// store, and validation shares those of training.
#pragma once

#include <ATen/ATen.h>

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
  std::string folder;                                                 // empty: nothing is kept
  std::int64_t disk_limit = -1;                                       // bytes of the folder; negative: see FeatureFolder
  std::int64_t memory_limit = 0;                                      // bytes of mapped features; 0: as the system likes
  std::string dtype{setting::features::feature_dtype.default_value};  // "fp32", "bf16", or "auto": as the session computes
  std::string version;                                                // of the package: another one may compute other bits
};
// Reads feature_cache_dir, feature_cache_gb, feature_cache_memory_gb, feature_dtype and feature_cache_version.
FeatureOptions read_feature_options(Options& options);

// How often a backbone's output was there already, and how often it had to be computed.
struct FeatureCounts {
  std::int64_t kept = 0, computed = 0;
};

class FrozenBackbone {
 public:
  // The model outlives the backbone.
  FrozenBackbone(model::CellSam& model, const BackboneSetting& setting, FeatureOptions options);

  // [B,g,g,E] of the batch's images on the device, rounded to the features' dtype, without a graph. Pictures go through the
  // backbone one by one: in a product of matrices the last bits depend on what else is in the batch, and what is kept must be
  // what would be computed.
  at::Tensor operator()(const data::Batch& batch, const Control& control);

  // Reads what is kept of a batch, on the thread that prepares batches.
  void prefetch(const data::Batch& batch);

  FeatureCounts take_counts() { return std::exchange(counts_, {}); }
  std::vector<std::string> take_notices();

 private:
  std::shared_ptr<FeatureFile> file();
  std::string key() const;
  std::int64_t bits_version() const;
  void keep(FeatureFile& file, const ContentHash& hash, const at::Tensor& features);

  model::CellSam& model_;
  BackboneSetting setting_;
  FeatureOptions options_;
  at::ScalarType dtype_;
  model::NamedTensors weights_;
  FeatureCounts counts_;
  std::int64_t opened_for_ = -1;  // bits_version() when the file was opened

  std::mutex mutex_;  // guards file_
  std::shared_ptr<FeatureFile> file_;
};

}  // namespace cellsam::cache
