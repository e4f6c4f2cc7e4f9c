#include "ops/folded_attention.h"

#include <ATen/ATen.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "engine.h"
#include "ops/grid_shape.h"

namespace cellsam::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::int64_t full_side(const GridShape& shape) { return shape.windows() * shape.side; }
std::int64_t window_count(const GridShape& shape) { return shape.batch * shape.windows() * shape.windows(); }

// Channels of a widened head: its own, a place for each row and each column of the window, and zeros, as fused kernels want
// whole vectors.
std::int64_t wide_width(const GridShape& shape) { return (shape.width + 2 * shape.side + 7) / 8 * 8; }

// The tokens of a full map [B,f,f,k*heads*d], window by window: [k,B,n,n,heads,side,side,d]; a view.
Tensor map_by_window(const Tensor& map, const GridShape& shape) {
  const auto n = shape.windows(), side = shape.side;
  return map.view({shape.batch, n, side, n, side, -1, shape.heads, shape.width}).permute({5, 0, 1, 3, 6, 2, 4, 7});
}

// The first d channels of heads [B*n*n,heads,tokens,wide], of which there may be several in front, in the same order; a view.
Tensor heads_by_window(const Tensor& heads, const GridShape& shape) {
  const auto n = shape.windows(), side = shape.side;
  return heads.narrow(-1, 0, shape.width).view({-1, shape.batch, n, n, shape.heads, side, side, shape.width});
}

// What stands behind the channels of queries, keys and values, [3,1,1,tokens,places and zeros]: nothing yet, ones at the places
// of the key's row and column, nothing. Row y has the place side - 1 - y, see at_places.
Tensor make_tails(const GridShape& shape, const at::TensorOptions& options) {
  const auto side = shape.side;
  auto tails = at::zeros({3, side, side, wide_width(shape) - shape.width}, options);
  const auto place = at::eye(side, options).flip(0);
  tails[1].narrow(2, 0, side).copy_(place.unsqueeze(1));
  tails[1].narrow(2, side, side).copy_(place.unsqueeze(0));
  return tails.view({3, 1, 1, side * side, -1});
}

// products [rows,2*(2*side-1)] of every query with every row of both tables. The key in row ky reads qy - ky + side - 1 of the
// first table, that is qy + its place. So what a query needs are `side` neighbours, and they begin one further from each qy to
// the next: a view [B*n*n,heads,side,side,side]. Likewise with columns, axis 1, in the second table.
Tensor at_places(const Tensor& products, const GridShape& shape, std::int64_t axis) {
  const auto side = shape.side, row = products.size(1);
  std::vector<std::int64_t> strides{shape.heads * side * side * row, side * side * row, side * row, row, 1};
  strides[static_cast<std::size_t>(2 + axis)] += 1;
  return products.as_strided({window_count(shape), shape.heads, side, side, side}, strides, axis * (2 * side - 1));
}

// The places of queries [B*n*n,heads,tokens,wide] for rows or columns, [B*n*n,heads,side,side,side]; a view.
Tensor query_places(const Tensor& queries, const GridShape& shape, std::int64_t axis) {
  const auto side = shape.side;
  return queries.narrow(3, shape.width + axis * side, side).view({window_count(shape), shape.heads, side, side, side});
}

// factor * a b, as one operation.
Tensor scaled_product(const Tensor& a, const Tensor& b, double factor) {
  const auto ignored = a.narrow(0, 0, 1).narrow(1, 0, 1);
  return at::addmm(ignored, a, b, /*beta=*/0, factor);
}

// Queries [q, sqrt(d) q.Rh, sqrt(d) q.Rw], keys [k, place of ky, place of kx] and values [v, 0] of all windows, each
// [B*n*n,heads,tokens,wide]: the product of the first two, divided by sqrt(d), is the whole score. Written into one buffer, and
// with its backward by hand, since every operation is one more for a GPU to be told of.
struct Widen : torch::autograd::Function<Widen> {
  static variable_list forward(AutogradContext* context, const Tensor& qkv, const Tensor& pad, const Tensor& table_h,
                               const Tensor& table_w, const Tensor& tails, std::int64_t heads, std::int64_t side) {
    const GridShape shape{qkv.size(0), qkv.size(1), side, heads, qkv.size(3) / (3 * heads)};
    auto map = qkv;
    if (const auto full = full_side(shape); full != shape.grid) {
      map = pad.to(qkv.scalar_type()).expand({shape.batch, full, full, -1}).clone(at::MemoryFormat::Contiguous);
      map.slice(1, 0, shape.grid).slice(2, 0, shape.grid).copy_(qkv);
    }
    const auto wide = at::empty({3, window_count(shape), heads, side * side, wide_width(shape)}, qkv.options());
    heads_by_window(wide, shape).copy_(map_by_window(map.contiguous(), shape));
    wide.narrow(4, shape.width, tails.size(4)).copy_(tails);

    const auto queries = wide[0];
    const auto tables = at::cat({table_h, table_w}).to(qkv.scalar_type());
    const auto products = scaled_product(rows(queries, shape), tables.t(), root(shape));
    for (std::int64_t axis = 0; axis < 2; ++axis) query_places(queries, shape, axis).copy_(at_places(products, shape, axis));

    context->save_for_backward({queries, tables});
    context->saved_data["batch"] = shape.batch;
    context->saved_data["grid"] = shape.grid;
    context->saved_data["side"] = side;
    return {queries, wide[1], wide[2]};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto &queries = saved[0], &tables = saved[1];
    const GridShape shape{context->saved_data["batch"].toInt(), context->saved_data["grid"].toInt(),
                          context->saved_data["side"].toInt(), queries.size(1), tables.size(1)};
    auto products = at::zeros({queries.numel() / queries.size(3), tables.size(0)}, queries.options());
    for (std::int64_t axis = 0; axis < 2; ++axis) at_places(products, shape, axis).copy_(query_places(grads[0], shape, axis));

    const auto full = full_side(shape);
    const auto map = at::empty({shape.batch, full, full, 3 * shape.heads * shape.width}, queries.options());
    const auto parts = map_by_window(map, shape);
    auto of_queries = parts.narrow(0, 0, 1);
    at::add_out(of_queries, heads_by_window(grads[0], shape),
                scaled_product(products, tables, root(shape)).view(of_queries.sizes()));
    for (std::int64_t part = 1; part < 3; ++part) {
      parts.narrow(0, part, 1).copy_(heads_by_window(grads[static_cast<std::size_t>(part)], shape));
    }
    variable_list input_grads(7);
    input_grads[0] = map;
    if (full != shape.grid) {
      const auto inside = map.slice(1, 0, shape.grid);
      input_grads[0] = inside.slice(2, 0, shape.grid);
      if (context->needs_input_grad(1)) {
        input_grads[1] = map.slice(1, shape.grid).sum({0, 1, 2}) + inside.slice(2, shape.grid).sum({0, 1, 2});
      }
    }
    if (context->needs_input_grad(2) || context->needs_input_grad(3)) {
      const auto of_tables = scaled_product(products.t(), rows(queries, shape), root(shape)).chunk(2);
      input_grads[2] = of_tables[0];
      input_grads[3] = of_tables[1];
    }
    return input_grads;
  }

  static Tensor rows(const Tensor& queries, const GridShape& shape) {  // [B*n*n*heads*tokens,d]
    return queries.narrow(3, 0, shape.width).view({-1, shape.width});
  }
  static double root(const GridShape& shape) { return std::sqrt(static_cast<double>(shape.width)); }
};

// From the attention's answer [B*n*n,heads,tokens,wide] to the map [B,g,g,heads*d].
struct Unwiden : torch::autograd::Function<Unwiden> {
  static Tensor forward(AutogradContext* context, const Tensor& mixed, std::int64_t batch, std::int64_t grid, std::int64_t side,
                        std::int64_t width) {
    const GridShape shape{batch, grid, side, mixed.size(1), width};
    context->saved_data["batch"] = batch;
    context->saved_data["grid"] = grid;
    context->saved_data["side"] = side;
    context->saved_data["width"] = width;
    const auto full = full_side(shape);
    const auto map = at::empty({batch, full, full, shape.heads * width}, mixed.options());
    map_by_window(map, shape).copy_(heads_by_window(mixed, shape));
    return full == grid ? map : map.slice(1, 0, grid).slice(2, 0, grid).contiguous();
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto width = context->saved_data["width"].toInt();
    const GridShape shape{context->saved_data["batch"].toInt(), context->saved_data["grid"].toInt(),
                          context->saved_data["side"].toInt(), grads[0].size(3) / width, width};
    const auto missing = full_side(shape) - shape.grid;
    const auto map = missing == 0 ? grads[0] : at::constant_pad_nd(grads[0], {0, 0, 0, missing, 0, missing});
    const auto mixed =
        at::zeros({window_count(shape), shape.heads, shape.side * shape.side, wide_width(shape)}, grads[0].options());
    heads_by_window(mixed, shape).copy_(map_by_window(map.contiguous(), shape));
    return {mixed, {}, {}, {}, {}};
  }
};

// Flash attention is what makes the folding worth its wider heads; torch must not quietly take the formula that keeps all
// scores.
void require_fused(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  if (!q.is_cuda() || q.scalar_type() != at::kBFloat16) return;
  const auto chosen = static_cast<sdp::SDPBackend>(at::_fused_sdp_choice(q, k, v, {}, 0.0, false, scale));
  if (chosen != sdp::SDPBackend::math && chosen != sdp::SDPBackend::error) return;
  throw Error("ERR_SLOW_ATTENTION", "torch has no fused bf16 attention for heads of width " + std::to_string(q.size(3)) +
                                        " on this GPU, or its fused kernels are switched off. Leave them on, or set precision "
                                        "to \"fp32\".");
}

}  // namespace

Tensor folded_attention(const Tensor& qkv, const Tensor& pad, const Tensor& table_h, const Tensor& table_w, std::int64_t heads,
                        std::int64_t side, KeptTensor* kept) {
  const GridShape shape{qkv.size(0), qkv.size(1), side, heads, qkv.size(3) / (3 * heads)};
  KeptTensor own;
  const auto options = qkv.options().requires_grad(false);
  const auto tails = (kept == nullptr ? own : *kept).get(options, {side}, [&] { return make_tails(shape, options); });
  const auto wide = Widen::apply(qkv, pad, table_h, table_w, tails, heads, side);
  const double scale = 1 / std::sqrt(static_cast<double>(shape.width));
  require_fused(wide[0], wide[1], wide[2], scale);
  const auto mixed = at::scaled_dot_product_attention(wide[0], wide[1], wide[2], {}, 0.0, false, scale);
  return Unwiden::apply(mixed, shape.batch, shape.grid, side, shape.width);
}

}  // namespace cellsam::ops
