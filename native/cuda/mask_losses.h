// Focal, dice and boundary loss of box prompts straight from low-resolution logits [N,h,w] and the label map [H,W], with the
// gradient in those logits: docs/math.md section 2, on a GPU as in 2.7. The upsampled mask exists only tile by tile in the
// shared memory of a block. No sum depends on the order in which threads run, so equal inputs give equal bits. A *low pixel* is
// one of the low-resolution logits, a *pixel* one of the label map. Three kernels (mask_losses_kernels.cu) are made of the
// phases below. Called through the operator by loss/fused_mask_loss_cuda.cc.
#pragma once

#include <cmath>
#include <cstddef>

#include "cuda/portable.h"
#include "cuda/resize_table.h"

namespace cellsam::cuda {

// The operator in the namespace cellsam_cuda. logits f32 [N,h,w], labels i32 [H,W], ids i32 [N] (0: an empty target); `canvas`:
// side of the square that the logits are resized to before the tile; pixels labelled `ignored` are left out; weights: focal,
// its alpha and gamma, dice, its smoothing, boundary. -> f32 [N,4]: focal, dice and boundary loss, weighted, and the IoU of the
// masks cut at mask_logit; and the gradient f32 [N,h,w] of the losses' sum, empty unless asked for.
constexpr const char* kMaskLossSchema =
    "mask_losses(Tensor logits, Tensor labels, Tensor ids, int canvas, int? ignored, float[] weights, float mask_logit, "
    "bool gradient) -> (Tensor, Tensor)";
// Whether the library holds code of its kernels that a device can run.
constexpr const char* kMaskLossUsableSchema = "mask_losses_usable(int device) -> bool";

constexpr int kMaskThreads = 256;  // of a block; a power of two
constexpr int kMaskLanes = 32;     // threads that share the adding of one sum

// What a prompt's losses are made of, over the pixels that count.
enum MaskSum { kFocal, kCount, kOverlap, kProbability, kTarget, kEdge, kKnown, kMask, kHit, kMaskSums };
// Low-resolution adjoints: of focal, of boundary, and of dice by target pixels and by all pixels.
enum MaskAdjoint { kOfFocal, kOfEdge, kOfTarget, kOfAll, kMaskAdjoints };
enum MaskResult { kFocalLoss, kDiceLoss, kBoundaryLoss, kMaskIou, kMaskResults };

struct MaskLossWeights {
  float focal = 1, focal_alpha = .25F, focal_gamma = 2, dice = 1, dice_smooth = 1, boundary = 1;  // weight 0: left out
};

struct MaskLossArguments {
  const float* logits = nullptr;  // [N,h,w]
  const int* labels = nullptr;    // [H,W]
  const int* ids = nullptr;       // [N]; 0 stands for an empty target
  bool ignores = false;           // pixels labelled `ignored` are left out of every sum
  int ignored = 0;
  ResizeView rows, columns;  // h to H, w to W
  MaskLossWeights weights;
  float mask_logit = 0;  // above it a pixel belongs to the predicted mask
  int prompts = 0;
  bool gradient = false;
  int side = 0;  // low pixels of a tile along each axis
  int tiles_down = 0, tiles_across = 0;
  int max_pixels = 0;               // of the largest tile with its margins
  float* partial = nullptr;         // [N,tiles,kMaskSums]
  float* adjoint = nullptr;         // [kMaskAdjoints,N,h,w]
  float* results = nullptr;         // [N,kMaskResults]; the losses weighted
  float* coefficients = nullptr;    // [N,kMaskAdjoints]
  float* total_gradient = nullptr;  // [N,h,w] of focal + dice + boundary
};

// Chooses the tile so that a block fits `shared_limit` bytes; false when not even one low pixel does.
inline bool plan_tiles(MaskLossArguments& a, const ResizeTable& rows, const ResizeTable& columns, std::size_t shared_limit);

// The block's memory: planes of max_pixels each, then what the threads add up.
struct MaskTile {
  float *logit, *probability, *across, *down, *edge;  // in place: logit -> d focal, probability -> dp/dz
  float* sums;                                        // [kMaskSums,kMaskThreads]
  signed char* kind;
};
enum PixelKind : signed char { kOther, kInside, kIgnored, kOutside };

CELLSAM_HD std::size_t mask_shared_bytes(int max_pixels) {
  return static_cast<std::size_t>(max_pixels) * (5 * sizeof(float) + 1) + sizeof(float) * kMaskSums * kMaskThreads;
}

CELLSAM_HD MaskTile tile_in(void* memory, int max_pixels) {
  MaskTile tile;
  auto* plane = static_cast<float*>(memory);
  tile.sums = plane, plane += kMaskSums * kMaskThreads;
  tile.logit = plane, plane += max_pixels;
  tile.probability = plane, plane += max_pixels;
  tile.across = plane, plane += max_pixels;
  tile.down = plane, plane += max_pixels;
  tile.edge = plane, plane += max_pixels;
  tile.kind = reinterpret_cast<signed char*>(plane);
  return tile;
}

// Which pixels a block works on. A pixel is summed by the tile that holds the first low pixel it reads, so by exactly one.
struct MaskRegion {
  int prompt, low_top, low_left, low_bottom, low_right;
  int top, left, bottom, right;  // pixels that read a low pixel of the tile; without gradient only those it sums
  int own_top, own_left;         // from here on the tile sums
  int margin, width, height;     // of the planes, margins included
};

CELLSAM_HD MaskRegion region_of(const MaskLossArguments& a, int block) {
  MaskRegion r;
  const int tiles = a.tiles_down * a.tiles_across, tile = block % tiles;
  const auto least = [](int x, int y) { return x < y ? x : y; };
  r.prompt = block / tiles;
  r.low_top = tile / a.tiles_across * a.side;
  r.low_left = tile % a.tiles_across * a.side;
  r.low_bottom = least(r.low_top + a.side, a.rows.low);
  r.low_right = least(r.low_left + a.side, a.columns.low);
  r.own_top = a.rows.start[r.low_top];
  r.own_left = a.columns.start[r.low_left];
  r.bottom = a.rows.start[r.low_bottom];
  r.right = a.columns.start[r.low_right];
  r.top = a.gradient ? a.rows.begin[r.low_top] : r.own_top;
  r.left = a.gradient ? a.columns.begin[r.low_left] : r.own_left;
  r.margin = a.gradient ? 2 : 1;  // an edge needs its neighbours, a gradient its neighbours' edges
  r.height = r.bottom - r.top + 2 * r.margin;
  r.width = r.right - r.left + 2 * r.margin;
  return r;
}

struct Sigmoid {
  float of, of_minus, softplus;  // σ(z), σ(-z), log(1 + exp(-|z|))
};

CELLSAM_HD Sigmoid sigmoid_of(float z) {
  const float small = expf(-fabsf(z)), large = 1 / (1 + small);
  return z >= 0 ? Sigmoid{large, small * large, log1pf(small)} : Sigmoid{small * large, large, log1pf(small)};
}

// miss^exponent as native/loss/focal.cc has it.
CELLSAM_HD float power_of(float miss, float exponent) {
  if (exponent == 0) return 1;
  if (exponent == 1) return miss;
  if (exponent == 2) return miss * miss;
  return powf(exponent < 1 ? fmaxf(miss, 1e-30F) : miss, exponent);
}

// Phase 1: logits and targets of the tile's pixels and its margins. Outside the image the probability is 0, as Sobel pads.
CELLSAM_HD void load_pixels(const MaskLossArguments& a, const MaskRegion& r, const MaskTile& tile, int thread) {
  const auto* low = a.logits + static_cast<std::size_t>(r.prompt) * a.rows.low * a.columns.low;
  const int id = a.ids[r.prompt];
  for (int i = thread; i < r.width * r.height; i += kMaskThreads) {
    const int y = r.top - r.margin + i / r.width, x = r.left - r.margin + i % r.width;
    if (y < 0 || y >= a.rows.full || x < 0 || x >= a.columns.full) {
      tile.logit[i] = tile.probability[i] = 0;
      tile.kind[i] = kOutside;
      continue;
    }
    float z = 0;
    const auto *down = a.rows.weight + static_cast<std::size_t>(y) * a.rows.taps,
               *across = a.columns.weight + static_cast<std::size_t>(x) * a.columns.taps;
    for (int v = 0; v < a.rows.taps; ++v) {
      if (down[v] == 0) continue;  // past the last low pixel there is nothing to read
      const auto* low_pixels = low + static_cast<std::size_t>(a.rows.first[y] + v) * a.columns.low + a.columns.first[x];
      float line = 0;
      for (int u = 0; u < a.columns.taps; ++u)
        if (across[u] != 0) line += across[u] * low_pixels[u];
      z += down[v] * line;
    }
    if (!(fabsf(z) <= 3.4e38F)) z = NAN;  // an infinite logit is a fault also where it happens to be right
    const int label = a.labels[static_cast<std::size_t>(y) * a.columns.full + x];
    tile.logit[i] = z;
    tile.probability[i] = sigmoid_of(z).of;
    tile.kind[i] = a.ignores && label == a.ignored ? kIgnored : label == id && id != 0 ? kInside : kOther;
  }
}

CELLSAM_HD bool owns(const MaskRegion& r, int y, int x) {
  return y >= r.own_top && y < r.bottom && x >= r.own_left && x < r.right;
}

// Phase 2: edges of mask and target; of the boundary loss only.
CELLSAM_HD void find_edges(const MaskLossArguments& a, const MaskRegion& r, const MaskTile& tile, int thread) {
  float edge_sum = 0, known_sum = 0;
  const int inner = r.width - 2;
  for (int k = thread; k < inner * (r.height - 2); k += kMaskThreads) {
    const int i = (k / inner + 1) * r.width + k % inner + 1;
    float across = 0, down = 0;
    if (tile.kind[i] != kOutside) {
      float target_across = 0, target_down = 0;
      bool known = true;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          const int at = i + dy * r.width + dx;
          const float along_x = static_cast<float>(dx * (2 - dy * dy)), along_y = static_cast<float>(dy * (2 - dx * dx));
          across += along_x * tile.probability[at];
          down += along_y * tile.probability[at];
          if (tile.kind[at] == kInside) target_across += along_x, target_down += along_y;
          known = known && tile.kind[at] != kIgnored;
        }
      }
      const float edge = sqrtf(across * across + down * down + 1e-6F);
      const float wanted = sqrtf(target_across * target_across + target_down * target_down + 1e-6F);
      const float difference = edge - wanted;
      const int y = r.top - r.margin + i / r.width, x = r.left - r.margin + i % r.width;
      if (known && owns(r, y, x)) edge_sum += fabsf(difference), known_sum += 1;
      const float edge_weight = !known ? 0 : static_cast<float>((difference > 0) - (difference < 0)) / edge;
      across *= edge_weight, down *= edge_weight;
    }
    tile.across[i] = across, tile.down[i] = down;
  }
  tile.sums[kEdge * kMaskThreads + thread] = edge_sum;
  tile.sums[kKnown * kMaskThreads + thread] = known_sum;
}

// Phase 3: the sums, and in place the derivatives by the pixels' logits.
CELLSAM_HD void add_pixels(const MaskLossArguments& a, const MaskRegion& r, const MaskTile& tile, int thread) {
  float sums[kMaskSums] = {};
  const int width = r.right - r.left;
  for (int k = thread; k < width * (r.bottom - r.top); k += kMaskThreads) {
    const int row = k / width, column = k % width, i = (row + r.margin) * r.width + column + r.margin;
    const bool counts = tile.kind[i] != kIgnored;
    const float z = tile.logit[i], target = tile.kind[i] == kInside ? 1 : 0;
    const auto s = sigmoid_of(z);
    const float miss = target > 0 ? s.of_minus : s.of, entropy = s.softplus + (target > 0 ? fmaxf(-z, 0) : fmaxf(z, 0));
    const float balance = a.weights.focal_alpha < 0 ? 1 : target > 0 ? a.weights.focal_alpha : 1 - a.weights.focal_alpha;
    const float gamma = a.weights.focal_gamma, weight = power_of(miss, gamma), sigmoid_grad = s.of * s.of_minus;
    if (counts && owns(r, r.top + row, r.left + column)) {
      const bool chosen = z > a.mask_logit;
      sums[kFocal] += balance * weight * entropy;
      sums[kCount] += 1;
      sums[kOverlap] += target * s.of;
      sums[kProbability] += s.of;
      sums[kTarget] += target;
      sums[kMask] += chosen ? 1 : 0;
      sums[kHit] += chosen ? target : 0;
    }
    if (!a.gradient) continue;
    float focal = 0;
    if (counts) {
      const float toward = target > 0 ? -1 : 1;  // d miss/dz = toward * sigmoid_grad, d entropy/dz = toward * miss
      focal = toward * miss * weight;
      if (gamma != 0) focal += gamma * toward * sigmoid_grad * power_of(miss, gamma - 1) * entropy;
      focal *= balance;
    }
    if (a.weights.boundary != 0) {
      // The adjoint of a correlation is the one with the flipped filter, and Sobel's change sign when flipped.
      float back = 0;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          const int at = i + dy * r.width + dx;
          back -=
              static_cast<float>(dx * (2 - dy * dy)) * tile.across[at] + static_cast<float>(dy * (2 - dx * dx)) * tile.down[at];
        }
      }
      tile.edge[i] = back * sigmoid_grad;
    }
    tile.logit[i] = focal;
    tile.probability[i] = counts ? sigmoid_grad : 0;
  }
  for (int sum = 0; sum < kMaskSums; ++sum) {
    if (a.weights.boundary != 0 && (sum == kEdge || sum == kKnown)) continue;  // phase 2 has written these
    tile.sums[sum * kMaskThreads + thread] = sums[sum];
  }
}

// Phase 4: each low pixel gathers from the pixels that read it, in their order.
CELLSAM_HD void gather_adjoints(const MaskLossArguments& a, const MaskRegion& r, const MaskTile& tile, int thread) {
  const int width = r.low_right - r.low_left;
  const auto plane = static_cast<std::size_t>(a.prompts) * a.rows.low * a.columns.low;
  for (int k = thread; k < width * (r.low_bottom - r.low_top); k += kMaskThreads) {
    const int v = r.low_top + k / width, u = r.low_left + k % width;
    float found[kMaskAdjoints] = {};
    for (int y = a.rows.begin[v]; y < a.rows.start[v + 1]; ++y) {
      const float down = a.rows.weight[static_cast<std::size_t>(y) * a.rows.taps + v - a.rows.first[y]];
      float line[kMaskAdjoints] = {};
      for (int x = a.columns.begin[u]; x < a.columns.start[u + 1]; ++x) {
        const float across = a.columns.weight[static_cast<std::size_t>(x) * a.columns.taps + u - a.columns.first[x]];
        const int i = (y - r.top + r.margin) * r.width + x - r.left + r.margin;
        line[kOfFocal] += across * tile.logit[i];
        if (a.weights.boundary != 0) line[kOfEdge] += across * tile.edge[i];
        line[kOfAll] += across * tile.probability[i];
        if (tile.kind[i] == kInside) line[kOfTarget] += across * tile.probability[i];
      }
      for (int part = 0; part < kMaskAdjoints; ++part) found[part] += down * line[part];
    }
    const auto to = (static_cast<std::size_t>(r.prompt) * a.rows.low + v) * a.columns.low + u;
    for (int part = 0; part < kMaskAdjoints; ++part) a.adjoint[part * plane + to] = found[part];
  }
}

// Phase 5, with `half` from kMaskThreads / 2 down to 1: the threads' sums become one.
CELLSAM_HD void fold_sums(const MaskTile& tile, int half, int thread) {
  if (thread >= half) return;
  for (int sum = 0; sum < kMaskSums; ++sum) {
    auto* values = tile.sums + sum * kMaskThreads;
    values[thread] += values[thread + half];
  }
}

CELLSAM_HD void store_sums(const MaskLossArguments& a, const MaskTile& tile, int block, int thread) {
  if (thread < kMaskSums) a.partial[static_cast<std::size_t>(block) * kMaskSums + thread] = tile.sums[thread * kMaskThreads];
}

// The second kernel, a block per prompt of kMaskSums * kMaskLanes threads. Phase 1: lanes add up the tiles.
CELLSAM_HD void add_tiles(const MaskLossArguments& a, double* lanes, int prompt, int thread) {
  const int sum = thread / kMaskLanes, tiles = a.tiles_down * a.tiles_across;
  double total = 0;
  for (int tile = thread % kMaskLanes; tile < tiles; tile += kMaskLanes)
    total += a.partial[(static_cast<std::size_t>(prompt) * tiles + tile) * kMaskSums + sum];
  lanes[thread] = total;
}

// Phase 2, one thread: losses, and the coefficients of the adjoints in the gradient.
CELLSAM_HD void finish_prompt(const MaskLossArguments& a, const double* lanes, int prompt) {
  double sums[kMaskSums] = {};
  for (int thread = 0; thread < kMaskSums * kMaskLanes; ++thread) sums[thread / kMaskLanes] += lanes[thread];
  const auto& w = a.weights;
  const double count = sums[kCount] > 1 ? sums[kCount] : 1, known = sums[kKnown] > 1 ? sums[kKnown] : 1;
  const double upper = 2 * sums[kOverlap] + w.dice_smooth, lower = sums[kProbability] + sums[kTarget] + w.dice_smooth;
  const double union_pixels = sums[kMask] + sums[kTarget] - sums[kHit];
  auto* result = a.results + static_cast<std::size_t>(prompt) * kMaskResults;
  result[kFocalLoss] = w.focal == 0 ? 0 : static_cast<float>(w.focal * sums[kFocal] / count);
  result[kDiceLoss] = w.dice == 0 ? 0 : static_cast<float>(w.dice * (1 - upper / lower));
  result[kBoundaryLoss] = w.boundary == 0 ? 0 : static_cast<float>(w.boundary * sums[kEdge] / known);
  result[kMaskIou] = static_cast<float>(sums[kHit] / (union_pixels > 1 ? union_pixels : 1));
  auto* coefficients = a.coefficients + static_cast<std::size_t>(prompt) * kMaskAdjoints;
  coefficients[kOfFocal] = static_cast<float>(w.focal / count);
  coefficients[kOfEdge] = static_cast<float>(w.boundary / known);
  coefficients[kOfTarget] = static_cast<float>(-2 * w.dice / lower);
  coefficients[kOfAll] = static_cast<float>(w.dice * upper / (lower * lower));
}

// The third kernel, a thread per low pixel of all prompts.
CELLSAM_HD void combine_adjoints(const MaskLossArguments& a, std::size_t low_pixel) {
  const auto low_pixels = static_cast<std::size_t>(a.rows.low) * a.columns.low, plane = low_pixels * a.prompts;
  const auto* coefficients = a.coefficients + low_pixel / low_pixels * kMaskAdjoints;
  float gradient = 0;
  for (int part = 0; part < kMaskAdjoints; ++part)
    if (coefficients[part] != 0) gradient += coefficients[part] * a.adjoint[part * plane + low_pixel];
  a.total_gradient[low_pixel] = gradient;
}

inline bool plan_tiles(MaskLossArguments& a, const ResizeTable& rows, const ResizeTable& columns, std::size_t shared_limit) {
  for (a.side = 16; a.side > 0; a.side /= 2) {
    a.max_pixels = (widest_reach(rows, a.side) + 4) * (widest_reach(columns, a.side) + 4);
    if (mask_shared_bytes(a.max_pixels) > shared_limit) continue;
    a.tiles_down = (rows.low + a.side - 1) / a.side;
    a.tiles_across = (columns.low + a.side - 1) / a.side;
    return true;
  }
  return false;
}

}  // namespace cellsam::cuda
