// The core of a SAM block against its definition in float64: explicit windows, explicit softmax with a bias tensor, values and
// the gradients of all that goes in; our CPU kernel in float32 and bfloat16, and the formulation out of torch's operations.
// Prints the lines that a parity program prints.
#include "ops/grid_attention.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "native/checks.h"
#include "native/program.h"
#include "ops/grid_attention_cpu.h"

namespace cellsam::test::grid_attention_program {

namespace {

struct Inputs {
  at::Tensor qkv, pad, table_h, table_w, slope;
  std::int64_t heads, side;

  std::vector<at::Tensor> all() const { return {qkv, pad, table_h, table_w}; }
};

Inputs random_inputs(std::int64_t batch, std::int64_t grid, std::int64_t side, std::int64_t heads, std::int64_t width,
                     at::ScalarType type) {
  const auto draw = [&](at::IntArrayRef shape, double spread) {
    return (at::randn(shape, at::kDouble) * spread).to(type).requires_grad_(true);
  };
  const auto channels = heads * width;
  return {draw({batch, grid, grid, 3 * channels}, 1.5),
          draw({3 * channels}, 1.0),
          draw({2 * side - 1, width}, 0.3),
          draw({2 * side - 1, width}, 0.3),
          at::randn({batch, grid, grid, channels}, at::kDouble).to(type),
          heads,
          side};
}

Inputs as_double(const Inputs& from) {
  const auto wide = [](const at::Tensor& x) { return x.detach().to(at::kDouble).requires_grad_(x.requires_grad()); };
  return {wide(from.qkv), wide(from.pad), wide(from.table_h), wide(from.table_w), wide(from.slope), from.heads, from.side};
}

// One window after another, one head after another, as the definition has it.
at::Tensor by_definition(const Inputs& in) {
  const auto batch = in.qkv.size(0), grid = in.qkv.size(1), side = in.side, channels = in.qkv.size(3) / 3;
  const auto width = channels / in.heads, full = (grid + side - 1) / side * side;
  auto map = in.pad.expand({batch, full, full, 3 * channels}).clone();
  map.slice(1, 0, grid).slice(2, 0, grid).copy_(in.qkv);
  auto out = at::zeros({batch, full, full, channels}, in.qkv.options());
  const auto at = at::arange(side * side), y = at.div(side, "floor"), x = at.remainder(side);
  const auto rows_h = in.table_h.index({y.unsqueeze(1) - y.unsqueeze(0) + side - 1});  // [cells (q),cells (k),width]
  const auto rows_w = in.table_w.index({x.unsqueeze(1) - x.unsqueeze(0) + side - 1});
  for (std::int64_t top = 0; top < full; top += side) {
    for (std::int64_t left = 0; left < full; left += side) {
      for (std::int64_t head = 0; head < in.heads; ++head) {
        const auto part = [&](std::int64_t index) {
          return map.slice(1, top, top + side)
              .slice(2, left, left + side)
              .slice(3, index * channels + head * width, index * channels + (head + 1) * width)
              .reshape({batch, side * side, width});
        };
        const auto q = part(0);
        const auto scores = q.matmul(part(1).transpose(1, 2)) / std::sqrt(static_cast<double>(width)) +
                            at::einsum("bqc,qkc->bqk", {q, rows_h}) + at::einsum("bqc,qkc->bqk", {q, rows_w});
        const auto mixed = scores.softmax(2).matmul(part(2)).view({batch, side, side, width});
        out.slice(1, top, top + side).slice(2, left, left + side).slice(3, head * width, (head + 1) * width).copy_(mixed);
      }
    }
  }
  return out.slice(1, 0, grid).slice(2, 0, grid);
}

at::Tensor attend(const Inputs& in) { return ops::grid_attention(in.qkv, in.pad, in.table_h, in.table_w, in.heads, in.side); }

std::vector<at::Tensor> answers(const Inputs& in, const at::Tensor& out) {
  auto found = torch::autograd::grad({out}, in.all(), {in.slope}, /*retain_graph=*/{}, /*create_graph=*/false,
                                     /*allow_unused=*/true);
  if (!found[1].defined()) found[1] = at::zeros_like(in.pad);  // no window was filled up
  found.insert(found.begin(), out.detach());
  return found;
}

void check_close(Checks& checks, const std::string& name, const std::vector<at::Tensor>& got,
                 const std::vector<at::Tensor>& expected, double limit) {
  const char* parts[] = {"out", "qkv", "pad", "table_h", "table_w"};
  for (std::size_t i = 0; i < got.size(); ++i) {
    checks.relative(name + " " + parts[i], got[i], expected[i], limit);
  }
}

struct Sizes {
  std::int64_t batch, grid, side, heads, width;
};

void check_values(Checks& checks) {
  const Sizes sizes[] = {{1, 5, 5, 1, 2},    {2, 7, 3, 2, 32},  {1, 14, 14, 2, 80}, {1, 20, 14, 3, 64},
                         {2, 8, 3, 4, 12},   {1, 1, 1, 1, 4},   {1, 13, 7, 2, 16},  {1, 33, 33, 1, 32},
                         {1, 32, 32, 2, 64}, {1, 48, 48, 1, 8}, {1, 3, 5, 1, 6}};
  for (const auto& [batch, grid, side, heads, width] : sizes) {
    const auto name = "grid " + std::to_string(grid) + " side " + std::to_string(side) + " width " + std::to_string(width);
    for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      const auto inputs = random_inputs(batch, grid, side, heads, width, type);
      const auto wide = as_double(inputs);
      const auto expected = answers(wide, by_definition(wide));
      // Sums over up to 2304 keys, one after another, in float32.
      const double limit = type == at::kDouble ? 1e-12 : type == at::kFloat ? 3e-5 : 0.02;
      for (const bool kernel : {true, false}) {
        ops::grid_attention_kernel().set(kernel);
        const auto label = name + " " + c10::toString(type) + (kernel ? " kernel" : " folded");
        check_close(checks, label, answers(inputs, attend(inputs)), expected, kernel ? limit : 2 * limit);
      }
    }
  }
  ops::grid_attention_kernel().set(true);
}

// A linear layer on the real cells alone, against one on windows that were filled up with zeros.
void check_padding(Checks& checks) {
  const auto x = at::randn({1, 8, 8, 6}, at::kDouble), weight = at::randn({18, 6}, at::kDouble),
             bias = at::randn({18}, at::kDouble);
  const auto h = at::randn({9, 3}, at::kDouble), w = at::randn({9, 3}, at::kDouble);
  const auto sparse = ops::grid_attention(at::linear(x, weight, bias), bias, h, w, 2, 5);
  const auto padded = at::linear(at::constant_pad_nd(x, {0, 0, 0, 2, 0, 2}), weight, bias);
  const auto full = ops::grid_attention(padded, bias, h, w, 2, 5).slice(1, 0, 8).slice(2, 0, 8);
  checks.near("skipped rows equal padded ones", sparse, full, 1e-14);
}

void check_threads(Checks& checks) {
  const auto before = at::get_num_threads();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [grid, side] : {std::pair<std::int64_t, std::int64_t>{32, 32}, {30, 14}}) {
      const auto inputs = random_inputs(1, grid, side, 3, 16, type);
      at::set_num_threads(1);
      const auto one = answers(inputs, attend(inputs));
      at::set_num_threads(4);
      const auto four = answers(inputs, attend(inputs));
      bool same = true;
      for (std::size_t i = 0; i < one.size(); ++i) same = same && one[i].equal(four[i]);
      checks.holds("the same bits with 1 and 4 threads, side " + std::to_string(side) + " " + c10::toString(type), same);
    }
  }
  at::set_num_threads(before);
}

// What is not finite shows, and scores of any size are no trouble.
void check_extremes(Checks& checks) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto inputs = random_inputs(1, 16, 16, 1, 8, type);
    {
      at::NoGradGuard no_grad;
      inputs.qkv.mul_(200);
    }
    const auto wide = as_double(inputs);
    checks.near(
        std::string("huge scores, ") + c10::toString(type),
        (attend(inputs).to(at::kDouble) - by_definition(wide)).abs().max().item<double>() / wide.qkv.abs().max().item<double>(),
        0, type == at::kFloat ? 1e-5 : 0.02);
    {
      at::NoGradGuard no_grad;
      inputs.qkv[0][3][4][9] = std::nan("");  // a key of cell (3, 4)
    }
    checks.holds(std::string("NaN in a key reaches every query, ") + c10::toString(type),
                 attend(inputs).isnan().all().item<bool>());
  }
}

}  // namespace

TEST_PROGRAM(grid_attention) {
  using namespace cellsam;
  at::manual_seed(5);
  Checks checks("grid_attention");
  const ops::GridShape shape{1, 8, 8, 1, 8};
  std::fprintf(stderr, "CPU kernel: float32 %d, bfloat16 %d\n", ops::can_attend_on_cpu(shape, at::kFloat),
               ops::can_attend_on_cpu(shape, at::kBFloat16));
  check_values(checks);
  check_padding(checks);
  check_threads(checks);
  check_extremes(checks);
  return checks.finish();
}

}  // namespace cellsam::test::grid_attention_program
