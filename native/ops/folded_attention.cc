#include "ops/folded_attention.h"

#include <ATen/ATen.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>

#include <cmath>
#include <vector>

#include "engine.h"

namespace cellsam::ops {
namespace {

// Rows q - k + side - 1 of the table [2*side-1,d] -> [side (q),side (k),d].
at::Tensor relative_rows(const at::Tensor& table, std::int64_t side) {
  const auto at = at::arange(side, table.options().dtype(at::kLong));
  const auto rows = at.unsqueeze(1) - at.unsqueeze(0) + (side - 1);
  return table.index_select(0, rows.reshape(-1)).reshape({side, side, -1});
}

// [B,g,g,C] -> [B*windows,w,w,C], filled up with `pad` [C] at the bottom and the right.
at::Tensor to_windows(const at::Tensor& x, const at::Tensor& pad, std::int64_t window) {
  const auto grid = x.size(1), missing = (window - grid % window) % window, count = (grid + missing) / window;
  auto filled = x;
  if (missing > 0) {
    filled = at::cat({filled, pad.expand({x.size(0), grid, missing, x.size(3)})}, 2);
    filled = at::cat({filled, pad.expand({x.size(0), missing, grid + missing, x.size(3)})}, 1);
  }
  return filled.reshape({x.size(0), count, window, count, window, x.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, window, window, x.size(3)});
}

// The inverse: drops what was filled up.
at::Tensor from_windows(const at::Tensor& windows, std::int64_t grid) {
  const auto window = windows.size(1);
  const auto count = (grid + window - 1) / window;
  return windows.reshape({-1, count, count, window, window, windows.size(3)})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({-1, count * window, count * window, windows.size(3)})
      .slice(1, 0, grid)
      .slice(2, 0, grid);
}

// Flash attention is what makes the folding worth its wider heads; torch must not quietly take the formula that keeps all
// scores.
void require_fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!q.is_cuda() || q.scalar_type() != at::kBFloat16) return;
  const auto chosen = static_cast<sdp::SDPBackend>(at::_fused_sdp_choice(q, k, v, {}, 0.0, false, 1.0));
  if (chosen != sdp::SDPBackend::math && chosen != sdp::SDPBackend::error) return;
  throw Error("ERR_SLOW_ATTENTION", "torch has no fused bf16 attention for heads of width " + std::to_string(q.size(3)) +
                                        " on this GPU, or its fused kernels are switched off. Leave them on, or set precision "
                                        "to \"fp32\".");
}

}  // namespace

at::Tensor folded_attention(const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h, const at::Tensor& table_w,
                            std::int64_t heads, std::int64_t side) {
  const auto windows = to_windows(qkv, pad, side);
  const auto batch = windows.size(0), tokens = side * side, width = windows.size(3) / (3 * heads);
  const auto parts = windows.reshape({batch, tokens, 3, heads, width}).permute({2, 0, 3, 1, 4});
  const auto q = parts[0], k = parts[1], v = parts[2];

  // [q/sqrt(d), q.Rh, q.Rw] . [k, onehot(ky), onehot(kx)] is the whole score. The q of the positions is not divided by sqrt(d).
  const auto square = q.reshape({batch * heads, side, side, width});
  const auto along_y = at::einsum("nyxc,ykc->nyxk", {square, relative_rows(table_h, side)});
  const auto along_x = at::einsum("nyxc,xkc->nyxk", {square, relative_rows(table_w, side)});
  const auto eye = at::eye(side, k.options());
  const auto one_hot = at::cat({eye.repeat_interleave(side, 0), eye.repeat({side, 1})}, 1);  // [tokens,2*side]
  const auto padding = (8 - (width + 2 * side) % 8) % 8;  // fused kernels want widths of whole vectors
  const auto zeros = at::zeros({1}, q.options()).expand({batch, heads, tokens, padding});
  const std::vector<std::int64_t> shape = {batch, heads, tokens, side};
  const auto wide_q = at::cat({q * (1 / std::sqrt(static_cast<double>(width))), along_y.reshape(shape).to(q.scalar_type()),
                               along_x.reshape(shape).to(q.scalar_type()), zeros},
                              3);
  const auto wide_k = at::cat({k, one_hot.expand({batch, heads, tokens, 2 * side}), zeros}, 3);
  const auto wide_v = at::constant_pad_nd(v, {0, wide_q.size(3) - width});
  require_fused(wide_q, wide_k, wide_v);
  const auto mixed = at::scaled_dot_product_attention(wide_q, wide_k, wide_v, {}, 0.0, false, 1.0).slice(3, 0, width);
  return from_windows(mixed.transpose(1, 2).reshape({batch, side, side, heads * width}), qkv.size(1));
}

}  // namespace cellsam::ops
