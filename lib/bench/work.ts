/**
 * How much a network multiplies and adds, by formula from its sizes: of the networks as they are published, whatever an
 * implementation leaves out or computes twice. Norms, softmax, positions and element-wise work are left out, and so are losses,
 * matching and what makes label maps of masks.
 */

/** The fields of the engine's table of sizes (native/model/model_size.h) that are used here. */
export interface ModelSize {
  name: string;
  imageSize: number;
  patch: number;
  embedDim: number;
  depth: number;
  mlpRatio: number;
  window: number;
  globalBlocks: readonly number[];
  promptDim: number;
  decoderDepth: number;
  decoderMlp: number;
  numMultimask: number;
  iouDepth: number;
  iouHidden: number;
  detectorDim: number;
  detectorFfn: number;
  encoderLayers: number;
  decoderLayers: number;
  numQueries: number;
  numPatterns: number;
  numClasses: number;
}

/** Multiply-adds: in products with weights, and in products of activations with each other, as attention has them. */
export interface Work {
  weights: number;
  activations: number;
}

export function sum(...parts: readonly Work[]): Work {
  return {
    weights: parts.reduce((all, { weights }) => all + weights, 0),
    activations: parts.reduce((all, { activations }) => all + activations, 0),
  };
}

export function times(count: number, { weights, activations }: Work): Work {
  return { weights: count * weights, activations: count * activations };
}

/** Floating-point operations: a multiply-add is two. */
export function flops({ weights, activations }: Work): number {
  return 2 * (weights + activations);
}

/**
 * Forward and backward. The gradient of a product with weights costs as much as the product, and once more that of the weights
 * where they train; a product of activations has two gradients.
 */
export function trained(work: Work, train: { weights: boolean }): Work {
  return { weights: (train.weights ? 3 : 2) * work.weights, activations: 3 * work.activations };
}

/** A linear layer on `rows` rows. */
const linear = (rows: number, from: number, to: number): Work => ({ weights: rows * from * to, activations: 0 });
/** Scores and weighted sums of `queries` over `keys` of `dim` channels in all heads. */
const attention = (queries: number, keys: number, dim: number): Work => ({ weights: 0, activations: 2 * queries * keys * dim });

const gridOf = ({ imageSize, patch }: ModelSize) => imageSize / patch;

/**
 * The vision transformer on one image. SAM pads its windows; published counts (2973 GMACs for vit_h) contain the padding, which
 * nobody has to compute and which is left out here unless `padding` is set.
 */
export function backbone(size: ModelSize, { padding = false }: { padding?: boolean } = {}): Work {
  const { embedDim: dim, patch, depth, window, globalBlocks } = size;
  const grid = gridOf(size);
  const tokens = grid * grid;
  const padded = window === 0 ? tokens : (Math.ceil(grid / window) * window) ** 2;
  const block = (index: number): Work => {
    const global = window === 0 || globalBlocks.includes(index);
    const rows = global || !padding ? tokens : padded;
    const keys = global ? tokens : window * window;
    const perceptron = times(2, linear(tokens, dim, dim * size.mlpRatio));
    return sum(times(4, linear(rows, dim, dim)), attention(rows, keys, dim), perceptron);
  };
  return sum(linear(tokens, 3 * patch * patch, dim), ...Array.from({ length: depth }, (_, index) => block(index)));
}

/** Two convolutions, of kernel 1 and 3, after SAM's backbone. */
export function neck(size: ModelSize): Work {
  const { embedDim, promptDim: dim } = size;
  const tokens = gridOf(size) ** 2;
  return sum(linear(tokens, embedDim, dim), linear(tokens, 9 * dim, dim));
}

/** CellFinder's Anchor DETR on the features of one image. */
export function detectorHead(size: ModelSize): Work {
  const { embedDim, detectorDim: dim, detectorFfn, numQueries, numPatterns, numClasses } = size;
  const grid = gridOf(size);
  const tokens = grid * grid;
  const queries = numQueries * numPatterns;
  // Row-column decoupled attention (Wang et al., AAAI 2022): scores over rows and over columns, then a sum over both.
  const rowColumn = (rows: number): Work =>
    sum(linear(3 * rows + 2 * grid + tokens, dim, dim), { weights: 0, activations: rows * dim * (2 * grid + tokens + grid) });
  const perceptron = (rows: number) => times(2, linear(rows, dim, detectorFfn));
  const encoderLayer = sum(rowColumn(tokens), perceptron(tokens));
  const selfAttention = sum(times(4, linear(queries, dim, dim)), attention(queries, queries, dim));
  const heads = sum(linear(queries, dim, numClasses), times(2, linear(queries, dim, dim)), linear(queries, dim, 4));
  return sum(
    linear(tokens, embedDim, dim),
    times(size.encoderLayers, encoderLayer),
    times(size.decoderLayers, sum(selfAttention, rowColumn(queries), perceptron(queries), heads)),
  );
}

/** SAM's mask decoder for a box, or a point, as prompt and one mask. */
export function maskDecoder(size: ModelSize): Work {
  const { promptDim: dim, numMultimask, iouDepth, iouHidden } = size;
  const pixels = gridOf(size) ** 2;
  const tokens = 1 + (numMultimask + 1) + 2; // IoU, masks, the corners of the box, or the point and the one that stands for no box
  const inner = dim / 2;
  // Either side may be the queries: each has two projections, queries and output or keys and values.
  const cross = sum(linear(2 * (tokens + pixels), dim, inner), attention(tokens, pixels, inner));
  const own = sum(times(4, linear(tokens, dim, dim)), attention(tokens, tokens, dim));
  const block = sum(own, cross, cross, times(2, linear(tokens, dim, size.decoderMlp)));
  // Transposed convolutions of kernel and stride 2, then one filter per mask on the upscaled map.
  const upscaling = sum(linear(pixels, dim, dim), linear(4 * pixels, dim / 4, dim / 2), linear(16 * pixels, dim / 8, 1));
  const filter = sum(times(2, linear(1, dim, dim)), linear(1, dim, dim / 8));
  const iou = sum(
    linear(1, dim, iouHidden),
    linear(iouDepth - 2, iouHidden, iouHidden),
    linear(1, iouHidden, numMultimask + 1),
  );
  return sum(times(size.decoderDepth, block), cross, upscaling, filter, iou);
}
