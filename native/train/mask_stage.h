// Stage 2: trains the neck of SAM's image encoder (and what is unfrozen by flag) behind box prompts. The gradient flows through
// the frozen prompt encoder and mask decoder; freezing is by requires_grad only: without a graph through them, as in the Python
// module, the neck would learn nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/frozen_backbone.h"
#include "device/side_stream.h"
#include "loss/mining.h"
#include "train/prompt_chunks.h"
#include "train/prompt_graphs.h"
#include "train/prompt_losses.h"
#include "train/prompt_sampling.h"
#include "train/stage.h"

namespace cellsam::train {

class MaskStage final : public Stage {
 public:
  MaskStage(const StageContext& context, Options& options);

  int number() const override { return 2; }
  const std::vector<std::string>& loss_names() const override { return losses_.names(); }
  void set_loss_weights(Options& options) override;
  device::GraphCounts take_graph_counts() override;
  bool divides() const override { return !mining_.enabled; }  // hard examples are those of the batch
  std::int64_t averaged_over(const data::Batch& batch, bool training) const override;
  std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey& key,
                                        const Control& control) override;
  std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) override;

 private:
  using Chunk = std::vector<ImagePrompts>;

  void choose_parameters(Options& options);
  bool is_in_graph(const std::string& name) const;
  at::Tensor encode(const data::Batch& batch, const Control& control);
  at::Tensor hard_example_weights(const PromptBatch& batch, bool per_image, const Control& control,
                                  const std::function<at::Tensor(const Chunk&)>& losses);
  // Calls `begin` and then `body` with the prompts of each chunk; again from the start with smaller chunks when the memory does
  // not hold them. `per_image`: a chunk holds prompts of one image only.
  void for_each_chunk(const PromptBatch& batch, bool per_image, const Control& control, const std::function<void()>& begin,
                      const std::function<void(const Chunk&)>& body);
  at::Tensor no_losses() const;  // [k] zeros

  // mask_stage_graphs.cc
  void open_graphs(bool required);
  at::Tensor train_with_graphs(const PromptBatch& batch, const at::Tensor& embeddings, double scale, const Control& control);

  StageContext context_;
  PromptLosses losses_;
  loss::MiningOptions mining_;
  PromptOptions prompt_options_;
  std::int64_t prompt_chunk_;
  cache::FrozenBackbone* frozen_backbone_ = nullptr;  // null: the backbone trains
  std::optional<PromptChunks> chunks_;                // since the size of the tiles is known
  std::optional<PromptGraphs> graphs_;                // with cuda_graphs, where there is something to record them with
  bool graphs_required_ = false;                      // the work stays divided as graphs need it when none can be recorded
  std::optional<device::SideStream> side_stream_;
  model::NamedTensors
      decoder_parameters_;  // that train: of prompt encoder and mask decoder, whose gradients grow chunk by chunk
};

}  // namespace cellsam::train
