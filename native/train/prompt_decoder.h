// The mask decoder in training, from the image embeddings of a batch to the masks of its prompts, chunk by chunk. What all
// prompts of an image share is computed once. The graph is cut there: the backward passes of the chunks add up their gradients
// at the cut, and a single backward pass takes the sum on to the encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/cellsam.h"
#include "train/prompt_sampling.h"

namespace cellsam::train {

class PromptDecoder {
 public:
  // embeddings [B,C,g,g], with their graph if they have one. factored: use the factored form of the mask decoder where it fits.
  // cuts_gradient: cut the graph as above; without it, the backward pass of each chunk goes on to the embeddings.
  PromptDecoder(model::Sam sam, at::Tensor embeddings, bool factored, bool cuts_gradient = true);

  // The masks of all prompts of `chunk`, in its order, as float32. scale:
  // from pixels of the tile to pixels of the model's input.
  model::Masks decode(const std::vector<ImagePrompts>& chunk, double scale);

  void drop_gradients();  // forgets the gradients of the chunks so far
  void backward();        // takes the sum of the gradients on to the embeddings and shared weights

  // About how many bytes training keeps for one prompt until its backward pass.
  static std::int64_t bytes_per_prompt(const model::ModelSize& size, std::int64_t tile);

 private:
  model::Sam sam_;
  at::Tensor position_;                            // PromptEncoder::dense_pe
  std::vector<at::Tensor> before_cut_;             // tensors with the encoder's graph
  std::vector<at::Tensor> cuts_;                   // the same without it, which collect the gradients of the chunks
  at::Tensor embeddings_;                          // for the plain form
  std::optional<model::FactoredImages> factored_;  // for the factored form
};

}  // namespace cellsam::train
