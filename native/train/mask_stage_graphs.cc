// Stage 2 with cuda_graphs: the prompts of one image at a time, from the image embedding on, as work that a GPU repeats.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/stop_if_abandoned.h"
#include "train/gradients.h"
#include "train/mask_stage.h"

namespace cellsam::train {

void MaskStage::open_graphs(bool required) {
  auto recorder = device::step_recorder(context_.device);
  if (!recorder && !required) return;
  graphs_required_ = required;
  const auto losses = [this](const PromptInputs& inputs) {
    const PromptBatch alone{{{0, inputs.boxes, inputs.ids}}, inputs.labels.unsqueeze(0), {inputs.ignores}};
    auto decoder = losses_.decoder(inputs.embedding, /*in_graph=*/true);
    return losses_(alone, alone.prompts, decoder);
  };
  std::vector<at::Tensor> trained;
  for (const auto& [name, parameter] : decoder_parameters_) trained.push_back(parameter);
  if (!recorder) {
    notice(context_.device.is_cpu() ? "cuda_graphs is for a GPU: on the CPU it only makes stage 2 slower"
                                    : "cuda_graphs needs the library libcellsam_cuda, which is not there: stage 2 starts its "
                                      "operations one by one. `cellsam doctor` says why");
  }
  side_stream_.emplace(context_.device);
  graphs_.emplace(losses, std::move(trained), std::move(recorder));
}

// All it asks of the device is copies in, one graph, and sums.
at::Tensor MaskStage::train_with_graphs(const PromptBatch& batch, const at::Tensor& embeddings, double scale,
                                        const Control& control) {
  auto& sam = *context_.model->mask_model();
  auto weights_used = model::state_dict(*sam.prompt_encoder);
  for (const auto& entry : model::state_dict(*sam.mask_decoder)) weights_used.push_back(entry);
  graphs_->clear_if_changed(weights_used);

  at::Tensor sums, gradient;
  {
    const device::SideStream::Scope side(*side_stream_);
    const auto inputs_of = [&](const ImagePrompts& image, const at::Tensor& weights) {
      return PromptInputs{
          embeddings.detach().narrow(0, image.image, 1),       batch.labels[image.image], image.boxes, image.ids, weights,
          batch.ignores[static_cast<std::size_t>(image.image)]};
    };
    const auto padded_count = [&](std::int64_t n) { return padded_prompt_count(n, chunks_->size()); };
    const auto share = scale / static_cast<double>(batch.count);
    const auto even = at::full({batch.count}, share, at::device(context_.device).dtype(at::kFloat));
    auto weights = hard_example_weights(batch, /*per_image=*/true, control, [&](const Chunk& chunk) {
      const auto n = count_of(chunk);
      return graphs_->forward(inputs_of(chunk[0], even.narrow(0, 0, n)), padded_count(n));
    });
    weights = weights.defined() ? weights * share : even;

    std::int64_t done = 0;
    const auto before = copy_gradients(decoder_parameters_);
    const auto begin = [&] {
      sums = no_losses();
      gradient = at::zeros_like(embeddings.detach());
      done = 0;
      restore_gradients(decoder_parameters_, before);
    };
    for_each_chunk(batch, /*per_image=*/true, control, begin, [&](const Chunk& chunk) {
      const auto n = count_of(chunk);
      const auto& result = graphs_->forward_backward(inputs_of(chunk[0], weights.narrow(0, done, n)), padded_count(n));
      done += n;
      sums += result.losses;
      gradient.narrow(0, chunk[0].image, 1) += result.embedding;
      add_gradients(decoder_parameters_, result.parameters);
    });
  }
  if (auto failure = graphs_->take_failure(); !failure.empty()) {
    notice("cuda_graphs: stage 2 starts its operations one by one from now on, since " + failure);
    if (!graphs_required_) graphs_.reset();
  }
  stop_if_abandoned(control);
  torch::autograd::backward({embeddings}, {gradient});
  return sums / scale;
}

}  // namespace cellsam::train
