#include "ops/factored_image_tokens.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/head_product.h"
#include "ops/image_token_attention.h"

namespace cellsam::ops {
namespace {

at::Tensor joined(const at::Tensor& x) {  // [N,H,t,E] -> [N,t,H*E]
  return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1});
}

// Of each cell, what it takes of the tokens: the softmax within each head.
at::Tensor shares(const at::Tensor& scores, std::int64_t heads) {
  return scores.view({scores.size(0), heads, -1, scores.size(2)}).softmax(2).view(scores.sizes());
}

}  // namespace

at::Tensor centred(const at::Tensor& rows) { return rows - rows.mean(-1, /*keepdim=*/true); }

at::Tensor PromptedImage::split(const at::Tensor& x) const {
  return x.view({x.size(0), x.size(1), weights_.heads, -1}).transpose(1, 2);
}

at::Tensor PromptedImage::spread(const at::Tensor& v, const Affine& out) const {
  const auto n = v.size(0), heads = v.size(1), tokens = v.size(2), width = out.weight.size(0);
  const auto by_head = out.weight.t().reshape({heads, -1, width});
  const auto rows = at::bmm(v.transpose(0, 1).reshape({heads, n * tokens, -1}), by_head);
  return rows.view({heads, n, tokens, width}).transpose(0, 1).reshape({n, heads * tokens, width});
}

at::Tensor PromptedImage::seen(const at::Tensor& rows, const Affine& map) const {
  return at::matmul(rows, map.weight.t()).view({rows.size(0), rows.size(1), weights_.heads, -1});
}

at::Tensor PromptedImage::meet(const at::Tensor& q, const Affine& map, const at::Tensor& rows) const {
  return at::matmul(q, seen(rows, map).permute({0, 2, 3, 1})).flatten(1, 2);
}

at::Tensor PromptedImage::gather(const at::Tensor& weights, const Affine& map, const at::Tensor& rows) const {
  return at::matmul(weights.view({weights.size(0), weights_.heads, -1, rows.size(1)}), seen(rows, map).transpose(1, 2));
}

double PromptedImage::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(weights_.read1.key.weight.size(0) / weights_.heads));
}

at::Tensor PromptedImage::rate(const at::Tensor& squares) const {
  return (squares / weights_.norm1.weight.size(0) + weights_.eps).rsqrt();
}

at::Tensor PromptedImage::behind2(const at::Tensor& rows) const { return centred(rows) * weights_.norm2.weight; }

at::Tensor PromptedImage::read1(const at::Tensor& q) {
  const auto attention = head_scores(split(q) * scale(), image_.key1).softmax(-1);
  return joined(head_values(attention, image_.value1)) + weights_.read1.value.bias;
}

void PromptedImage::write1(const at::Tensor& k, const at::Tensor& v) {
  v1_ = split(v);
  a1_ = shares(head_scores(split(k) * scale(), image_.query1), weights_.heads);
  const auto rows = centred(spread(v1_, weights_.write1.out));
  r1_ = rate(image_.norm1 + quadratic(a1_, head_scores(2 * v1_, image_.out1), at::bmm(rows, rows.transpose(1, 2))));
  d1_ = rows * weights_.norm1.weight;
}

at::Tensor PromptedImage::read2(const at::Tensor& q) {
  const auto heads = split(q) * scale();
  const auto& read = weights_.read2;
  const auto own = at::baddbmm(head_scores(heads, image_.key2), meet(heads, read.key, d1_), a1_);
  const auto attention = over_cells(own, r1_, head_scores(heads, position_.key2)) * r1_;
  const auto mixed = head_values(attention, image_.value2) + gather(at::bmm(attention, a1_.transpose(1, 2)), read.value, d1_);
  return joined(mixed) + at::mv(read.value.weight, weights_.norm1.bias) + read.value.bias;
}

void PromptedImage::write2(const at::Tensor& k, const at::Tensor& v) {
  const auto keys = split(k) * scale(), values = split(v);
  const auto& query = weights_.write2.query;
  const auto fixed = at::mv(query.weight, weights_.norm1.bias) + query.bias;  // no part of a map: it differs by token
  const auto own = at::baddbmm(head_scores(keys, image_.query2), meet(keys, query, d1_), a1_);
  const auto level = at::matmul(keys, fixed.view({weights_.heads, -1, 1})).flatten(1, 2);  // [N,J,1]
  a2_ = over_tokens(own, r1_, head_scores(keys, position_.query2), level, weights_.heads);

  const auto rows = centred(spread(values, weights_.write2.out)), old = centred(d1_), across = old.transpose(1, 2);
  const auto constant = centred(weights_.norm1.bias + weights_.write2.out.bias).view({1, -1, 1});
  // |r1 (image + A1' old) + constant + A2' rows|^2, square by square and product by product
  const auto image = image_.norm2 + quadratic(a1_, head_scores(2 * v1_, image_.out12), at::bmm(old, across));
  const auto shift = image_.offset + at::bmm(at::matmul(old, constant).transpose(1, 2), a1_);
  const auto met = at::baddbmm(head_scores(values, image_.out2), at::bmm(rows, across), a1_);
  const auto added = quadratic(a2_, 2 * (r1_ * met + at::matmul(rows, constant)), at::bmm(rows, rows.transpose(1, 2)));
  r2_ = rate(r1_ * (r1_ * image + 2 * shift) + added + constant.square().sum());
  d2_ = rows * weights_.norm2.weight;
  d12_ = old * weights_.norm2.weight;
}

at::Tensor PromptedImage::read3(const at::Tensor& q) {
  const auto heads = split(q) * scale();
  const auto& read = weights_.read3;
  const auto constant = behind2(weights_.norm1.bias + weights_.write2.out.bias).view({1, 1, -1});
  const auto own = at::baddbmm(head_scores(heads, image_.key3), meet(heads, read.key, d12_), a1_);
  const auto added = at::baddbmm(meet(heads, read.key, constant), meet(heads, read.key, d2_), a2_);
  const auto attention = over_cells(r1_ * own + added, r2_, head_scores(heads, position_.key3)) * r2_;
  const auto scaled = attention * r1_;
  const auto mixed = head_values(scaled, image_.value3) + gather(at::bmm(scaled, a1_.transpose(1, 2)), read.value, d12_) +
                     gather(at::bmm(attention, a2_.transpose(1, 2)), read.value, d2_) +
                     gather(attention.sum(-1, true), read.value, constant);
  return joined(mixed) + at::mv(read.value.weight, weights_.norm2.bias) + read.value.bias;
}

UpscaledCells PromptedImage::upscaled() const {
  const auto up = weights_.up.weight.t();
  const auto constant = behind2(weights_.norm1.bias + weights_.write2.out.bias).view({1, 1, -1});
  const auto rows = at::matmul(at::cat({d12_, d2_, constant.expand({d2_.size(0), -1, -1})}, 1), up);
  const auto scale = r1_ * r2_;
  return {image_.up, scale, rows, at::cat({a1_ * scale, a2_ * r2_, r2_}, 1),
          at::mv(weights_.up.weight, weights_.norm2.bias) + weights_.up.bias};
}

}  // namespace cellsam::ops
