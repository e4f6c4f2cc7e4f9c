#include "ops/factored_image_tokens.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ops/head_product.h"
#include "ops/image_token_attention.h"

namespace cellsam::ops {
namespace {

at::Tensor join_heads(const at::Tensor& x) {  // [N,H,t,E] -> [N,t,H*E]
  return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1});
}

// The weights of image to token 1: the softmax of each image token over the prompt tokens, within each head. [N,J,G]
at::Tensor attention_weights(const at::Tensor& scores, std::int64_t heads) {
  return scores.view({scores.size(0), heads, -1, scores.size(2)}).softmax(2).view(scores.sizes());
}

}  // namespace

at::Tensor centred(const at::Tensor& rows) { return rows - rows.mean(-1, /*keepdim=*/true); }

at::Tensor FactoredImageTokens::split_heads(const at::Tensor& x) const {
  return x.view({x.size(0), x.size(1), weights_.heads, -1}).transpose(1, 2);
}

at::Tensor FactoredImageTokens::output_rows(const at::Tensor& v, const Affine& out) const {
  const auto n = v.size(0), heads = v.size(1), tokens = v.size(2), width = out.weight.size(0);
  const auto by_head = out.weight.t().reshape({heads, -1, width});
  const auto rows = at::bmm(v.transpose(0, 1).reshape({heads, n * tokens, -1}), by_head);
  return rows.view({heads, n, tokens, width}).transpose(0, 1).reshape({n, heads * tokens, width});
}

at::Tensor FactoredImageTokens::project_rows(const at::Tensor& rows, const Affine& map) const {
  return at::matmul(rows, map.weight.t()).view({rows.size(0), rows.size(1), weights_.heads, -1});
}

at::Tensor FactoredImageTokens::row_scores(const at::Tensor& q, const Affine& map, const at::Tensor& rows) const {
  return at::matmul(q, project_rows(rows, map).permute({0, 2, 3, 1})).flatten(1, 2);
}

at::Tensor FactoredImageTokens::mix_rows(const at::Tensor& weights, const Affine& map, const at::Tensor& rows) const {
  return at::matmul(weights.view({weights.size(0), weights_.heads, -1, rows.size(1)}), project_rows(rows, map).transpose(1, 2));
}

double FactoredImageTokens::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(weights_.token_to_image_1.key.weight.size(0) / weights_.heads));
}

at::Tensor FactoredImageTokens::rstd(const at::Tensor& squares) const {
  return (squares / weights_.norm1.weight.size(0) + weights_.eps).rsqrt();
}

at::Tensor FactoredImageTokens::norm2_linear(const at::Tensor& rows) const { return centred(rows) * weights_.norm2.weight; }

at::Tensor FactoredImageTokens::token_to_image_1(const at::Tensor& q) {
  const auto attention = head_scores(split_heads(q) * scale(), image_.key1).softmax(-1);
  return join_heads(head_values(attention, image_.value1)) + weights_.token_to_image_1.value.bias;
}

void FactoredImageTokens::image_to_token_1(const at::Tensor& k, const at::Tensor& v) {
  values_1_ = split_heads(v);
  attention_1_ = attention_weights(head_scores(split_heads(k) * scale(), image_.query1), weights_.heads);
  const auto rows = centred(output_rows(values_1_, weights_.image_to_token_1.out));
  rstd_1_ = rstd(image_.squared_length_1 +
                 quadratic(attention_1_, head_scores(2 * values_1_, image_.out1), at::bmm(rows, rows.transpose(1, 2))));
  added_rows_1_ = rows * weights_.norm1.weight;
}

at::Tensor FactoredImageTokens::token_to_image_2(const at::Tensor& q) {
  const auto heads = split_heads(q) * scale();
  const auto& read = weights_.token_to_image_2;
  const auto content = at::baddbmm(head_scores(heads, image_.key2), row_scores(heads, read.key, added_rows_1_), attention_1_);
  const auto attention = softmax_over_image_tokens(content, rstd_1_, head_scores(heads, position_.key2)) * rstd_1_;
  const auto mixed = head_values(attention, image_.value2) +
                     mix_rows(at::bmm(attention, attention_1_.transpose(1, 2)), read.value, added_rows_1_);
  return join_heads(mixed) + at::mv(read.value.weight, weights_.norm1.bias) + read.value.bias;
}

void FactoredImageTokens::image_to_token_2(const at::Tensor& k, const at::Tensor& v) {
  const auto keys = split_heads(k) * scale(), values = split_heads(v);
  const auto& query = weights_.image_to_token_2.query;
  const auto query_constant =
      at::mv(query.weight, weights_.norm1.bias) + query.bias;  // no part of a map: it differs by prompt token
  const auto content = at::baddbmm(head_scores(keys, image_.query2), row_scores(keys, query, added_rows_1_), attention_1_);
  const auto bias = at::matmul(keys, query_constant.view({weights_.heads, -1, 1})).flatten(1, 2);  // [N,J,1]
  attention_2_ = softmax_over_prompt_tokens(content, rstd_1_, head_scores(keys, position_.query2), bias, weights_.heads);

  const auto rows = centred(output_rows(values, weights_.image_to_token_2.out)), old = centred(added_rows_1_),
             across = old.transpose(1, 2);
  const auto constant = centred(weights_.norm1.bias + weights_.image_to_token_2.out.bias).view({1, -1, 1});
  // (1.13): |rstd1 (image + A1' old) + constant + A2' rows|^2, square by square and product by product
  const auto image =
      image_.squared_length_2 + quadratic(attention_1_, head_scores(2 * values_1_, image_.out12), at::bmm(old, across));
  const auto shift = image_.constant_product + at::bmm(at::matmul(old, constant).transpose(1, 2), attention_1_);
  const auto value_products = at::baddbmm(head_scores(values, image_.out2), at::bmm(rows, across), attention_1_);
  const auto added =
      quadratic(attention_2_, 2 * (rstd_1_ * value_products + at::matmul(rows, constant)), at::bmm(rows, rows.transpose(1, 2)));
  rstd_2_ = rstd(rstd_1_ * (rstd_1_ * image + 2 * shift) + added + constant.square().sum());
  added_rows_2_ = rows * weights_.norm2.weight;
  added_rows_12_ = old * weights_.norm2.weight;
}

at::Tensor FactoredImageTokens::token_to_image_3(const at::Tensor& q) {
  const auto heads = split_heads(q) * scale();
  const auto& read = weights_.token_to_image_3;
  const auto constant = norm2_linear(weights_.norm1.bias + weights_.image_to_token_2.out.bias).view({1, 1, -1});
  const auto content = at::baddbmm(head_scores(heads, image_.key3), row_scores(heads, read.key, added_rows_12_), attention_1_);
  const auto added =
      at::baddbmm(row_scores(heads, read.key, constant), row_scores(heads, read.key, added_rows_2_), attention_2_);
  const auto attention =
      softmax_over_image_tokens(rstd_1_ * content + added, rstd_2_, head_scores(heads, position_.key3)) * rstd_2_;
  const auto scaled = attention * rstd_1_;
  const auto mixed = head_values(scaled, image_.value3) +
                     mix_rows(at::bmm(scaled, attention_1_.transpose(1, 2)), read.value, added_rows_12_) +
                     mix_rows(at::bmm(attention, attention_2_.transpose(1, 2)), read.value, added_rows_2_) +
                     mix_rows(attention.sum(-1, true), read.value, constant);
  return join_heads(mixed) + at::mv(read.value.weight, weights_.norm2.bias) + read.value.bias;
}

UpscaledImageTokens FactoredImageTokens::upscaled() const {
  const auto up = weights_.up.weight.t();
  const auto constant = norm2_linear(weights_.norm1.bias + weights_.image_to_token_2.out.bias).view({1, 1, -1});
  const auto rows =
      at::matmul(at::cat({added_rows_12_, added_rows_2_, constant.expand({added_rows_2_.size(0), -1, -1})}, 1), up);
  const auto scale = rstd_1_ * rstd_2_;
  return {image_.up, scale, rows, at::cat({attention_1_ * scale, attention_2_ * rstd_2_, rstd_2_}, 1),
          at::mv(weights_.up.weight, weights_.norm2.bias) + weights_.up.bias};
}

}  // namespace cellsam::ops
