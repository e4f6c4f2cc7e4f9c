// LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022): the change of a weight matrix W [out,in]
// is kept to a product scale * up down of up [out,rank] and down [rank,in], and only these two learn.
//
// W itself always holds the product, so that whatever computes with the network, saves it or copies it knows nothing of LoRA.
// The factors' gradients follow from that of W by the chain rule: scale * up^T G for down and scale * G down^T for up.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::optim {

struct LowRank {
  std::int64_t rank = 0;  // 0: the whole matrix learns
  double scale = 1;       // alpha / rank
};

class LowRankChange {
 public:
  // weight: W [out,in], a leaf. down is drawn from U(-1/sqrt(in), 1/sqrt(in)) and up is 0, so that W is as it was. A rank above
  // the smaller side of W is that side.
  LowRankChange(at::Tensor weight, const LowRank& low_rank, at::Generator generator);

  // Makes the factors' gradients from that of W; none without one. Before an update of the factors.
  void take_gradient();
  // Adds to W what the update changed the product by. Each take_gradient() wants one.
  void apply();
  // Releases the gradients of W and of the factors.
  void drop_gradients();

  const at::Tensor& down() const { return down_; }
  const at::Tensor& up() const { return up_; }

 private:
  at::Tensor weight_, down_, up_;
  at::Tensor down_before_, up_before_;  // the update
  double scale_;
};

// How many numbers learn in place of a weight [out,in].
std::int64_t low_rank_numbers(const at::Tensor& weight, std::int64_t rank);

}  // namespace cellsam::optim
