#include "model/vit_block.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace cellsam::model {
namespace {

// Rows q - k + side - 1 of the table [2*side-1,d] -> [side (q),side (k),d].
at::Tensor relative_rows(const at::Tensor& table, std::int64_t side) {
  const auto at = at::arange(side, table.options().dtype(at::kLong));
  const auto rows = at.unsqueeze(1) - at.unsqueeze(0) + (side - 1);
  return table.index_select(0, rows.reshape(-1)).reshape({side, side, -1});
}

// [B,g,g,E] -> [B*windows,w,w,E], zero-padded at the bottom and the right.
at::Tensor to_windows(const at::Tensor& x, std::int64_t window) {
  const auto grid = x.size(1);
  const auto pad = (window - grid % window) % window;
  const auto count = (grid + pad) / window;
  return at::constant_pad_nd(x, {0, 0, 0, pad, 0, pad})
      .reshape({x.size(0), count, window, count, window, x.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, window, window, x.size(3)});
}

// The inverse: drops the padding.
at::Tensor from_windows(const at::Tensor& windows, std::int64_t grid) {
  const auto window = windows.size(1);
  const auto count = (grid + window - 1) / window;
  return windows.reshape({-1, count, count, window, window, windows.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, count * window, count * window, windows.size(3)})
      .slice(1, 0, grid)
      .slice(2, 0, grid);
}

}  // namespace

GridAttentionImpl::GridAttentionImpl(std::int64_t dim, std::int64_t heads, std::int64_t side) : heads_(heads), side_(side) {
  rel_pos_h_ = register_parameter("rel_pos_h", at::zeros({2 * side - 1, dim / heads}));
  rel_pos_w_ = register_parameter("rel_pos_w", at::zeros({2 * side - 1, dim / heads}));
  qkv_ = register_module("qkv", torch::nn::Linear(dim, 3 * dim));
  proj_ = register_module("proj", torch::nn::Linear(dim, dim));
}

at::Tensor GridAttentionImpl::forward(const at::Tensor& x) {
  const auto batch = x.size(0), cells = side_ * side_, width = x.size(3) / heads_;
  const auto qkv = qkv_->forward(x).reshape({batch, cells, 3, heads_, width}).permute({2, 0, 3, 1, 4});
  const auto q = qkv[0], k = qkv[1], v = qkv[2];

  // The relative positions ride along in q and k: [q/sqrt(d), q.Rh, q.Rw] . [k, onehot(ky), onehot(kx)] is the whole score, so
  // no bias of [heads,cells,cells] is ever built. Their q is not divided by sqrt(d).
  const auto square = q.reshape({batch * heads_, side_, side_, width});
  const auto along_y = at::einsum("nyxc,ykc->nyxk", {square, relative_rows(rel_pos_h_, side_)});
  const auto along_x = at::einsum("nyxc,xkc->nyxk", {square, relative_rows(rel_pos_w_, side_)});
  const auto eye = at::eye(side_, k.options());
  const auto place = at::cat({eye.repeat_interleave(side_, 0), eye.repeat({side_, 1})}, 1);  // [cells,2*side]
  const auto pad = (8 - (width + 2 * side_) % 8) % 8;  // fused kernels want widths of whole vectors
  const auto none = at::zeros({1}, q.options()).expand({batch, heads_, cells, pad});
  const std::vector<std::int64_t> shape = {batch, heads_, cells, side_};
  const auto wide_q = at::cat({q * (1 / std::sqrt(static_cast<double>(width))), along_y.reshape(shape).to(q.scalar_type()),
                               along_x.reshape(shape).to(q.scalar_type()), none},
                              3);
  const auto wide_k = at::cat({k, place.expand({batch, heads_, cells, 2 * side_}), none}, 3);
  const auto wide_v = at::constant_pad_nd(v, {0, wide_q.size(3) - width});
  const auto mixed = at::scaled_dot_product_attention(wide_q, wide_k, wide_v, {}, 0.0, false, 1.0).slice(3, 0, width);
  return proj_->forward(mixed.transpose(1, 2).reshape(x.sizes()));
}

VitBlockImpl::VitBlockImpl(const ModelSize& size, std::int64_t index) : index_(index) {
  const auto& global = size.global_blocks;
  window_ = std::find(global.begin(), global.end(), index) == global.end() ? size.window : 0;
  const auto norm = torch::nn::LayerNormOptions({size.embed_dim}).eps(1e-6);
  const auto hidden = static_cast<std::int64_t>(static_cast<double>(size.embed_dim) * size.mlp_ratio);
  norm1_ = register_module("norm1", torch::nn::LayerNorm(norm));
  attn_ = register_module("attn", GridAttention(size.embed_dim, size.heads, window_ == 0 ? size.grid() : window_));
  norm2_ = register_module("norm2", torch::nn::LayerNorm(norm));
  mlp_ = register_module("mlp", FeedForward(size.embed_dim, hidden, Activation::gelu));
}

at::Tensor VitBlockImpl::forward(const at::Tensor& x, Taps* taps) {
  // Padding comes after the norm and is not masked: padded cells attend with the bias of qkv, as the weights were trained.
  const auto normed = norm1_->forward(x);
  const auto mixed = attn_->forward(window_ == 0 ? normed : to_windows(normed, window_));
  tap(taps, "block" + std::to_string(index_) + ".attn", mixed);
  const auto y = x + (window_ == 0 ? mixed : from_windows(mixed, x.size(1)));
  const auto out = y + mlp_->forward(norm2_->forward(y));
  tap(taps, "block" + std::to_string(index_), out);
  return out;
}

}  // namespace cellsam::model
