// Between the image embeddings of a batch and the masks of its prompts, for training: whatever the prompts of an image share is
// computed once, and the gradients of all chunks meet there before one backward pass through it and the encoder.
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
  // embeddings [B,C,g,g] with their graph, if they have one. factored: by the mask decoder's factored formulation where it
  // serves, else by the plain one. cuts_gradient: the gradients of chunks stop here until `backward`; without, each goes on to
  // the embeddings and parameters.
  PromptDecoder(model::Sam sam, at::Tensor embeddings, bool factored, bool cuts_gradient = true);

  // Masks of all prompts of `chunk`, one image after the other, in float32. `scale`: from their boxes' pixels to the model's.
  model::Masks decode(const std::vector<ImagePrompts>& chunk, double scale);

  void drop_gradients();  // the gradients of the chunks so far
  void backward();        // from the chunks' gradients to the embeddings' graph and shared weights

  // Bytes that training holds for one prompt until its backward pass, roughly.
  static std::int64_t bytes_per_prompt(const model::ModelSize& size, std::int64_t tile);

 private:
  model::Sam sam_;
  at::Tensor position_;
  std::vector<at::Tensor> before_cut_;  // with the graph
  std::vector<at::Tensor> cuts_;        // the same cut off, where gradients gather
  at::Tensor embeddings_;               // for the plain formulation; its cut
  std::optional<model::FactoredImages> factored_;
};

}  // namespace cellsam::train
