/**
 * COCO's average precision of instance masks, from the engine's verdict on each detection of an image. As in COCO: IoU
 * 0.50:0.05:0.95, precision made monotone and read at 101 recalls, areas below 32 x 32 pixels are small and above 96 x 96
 * large. Unlike in COCO, an image is not limited to 100 detections, since a field of cells has more.
 */

/** The contribution of one image. */
export interface CocoImage {
  /** Scores of the d detections, best first, [d]. */
  scores: Float64Array;
  /** [4 size classes, 10 IoU thresholds, d]: 0 false, 1 true, 2 ignored. */
  verdicts: Uint8Array;
  /** Number of true cells of all sizes, of small, medium and large ones, [4]. */
  truth: Float64Array;
}

/** null where there is no true cell of that size, or where predictions have no scores. */
export interface CocoRates {
  cocoAp: number | null;
  cocoAp50: number | null;
  cocoAp75: number | null;
  cocoApSmall: number | null;
  cocoApMedium: number | null;
  cocoApLarge: number | null;
}

const thresholds = 10;
const recalls = Array.from({ length: 101 }, (_, i) => (i === 100 ? 1 : i * 0.01));

/** The rates over all images; null stands for an image whose predictions have no scores. */
export function cocoRates(images: readonly (CocoImage | null)[]): CocoRates {
  const known = images.filter((image) => image !== null);
  const complete = known.length === images.length;
  const ranked = known
    .flatMap((image, i) => Array.from(image.scores, (score, row) => ({ score, i, row })))
    .sort((a, b) => b.score - a.score);
  const at = (size: number, threshold: number) => averagePrecision(known, ranked, size, threshold);
  const mean = (size: number) => {
    const values = Array.from({ length: thresholds }, (_, threshold) => at(size, threshold));
    const sum = values.reduce<number>((total, value) => total + (value ?? 0), 0);
    return values.includes(null) ? null : sum / thresholds;
  };
  return {
    cocoAp: complete ? mean(0) : null,
    cocoAp50: complete ? at(0, 0) : null,
    cocoAp75: complete ? at(0, 5) : null,
    cocoApSmall: complete ? mean(1) : null,
    cocoApMedium: complete ? mean(2) : null,
    cocoApLarge: complete ? mean(3) : null,
  };
}

/**
 * Whether the detection of a row matches a true cell of a size class at an IoU threshold, both by their number in `verdicts`; null
 * where it is ignored. Default: cells of all sizes, IoU 0.5.
 */
export function isTrue({ scores, verdicts }: CocoImage, row: number, size = 0, threshold = 0): boolean | null {
  const verdict = verdicts[(size * thresholds + threshold) * scores.length + row];
  return verdict === 2 ? null : verdict === 1;
}

function averagePrecision(
  images: readonly CocoImage[],
  ranked: readonly { i: number; row: number }[],
  size: number,
  threshold: number,
): number | null {
  const truth = images.reduce((sum, image) => sum + (image.truth[size] as number), 0);
  if (truth === 0) return null;
  let right = 0;
  let wrong = 0;
  const recall: number[] = [];
  const precision: number[] = [];
  for (const { i, row } of ranked) {
    const matches = isTrue(images[i] as CocoImage, row, size, threshold);
    if (matches === null) continue;
    if (matches) right += 1;
    else wrong += 1;
    recall.push(right / truth);
    precision.push(right / (right + wrong));
  }
  for (let k = precision.length - 2; k >= 0; k--) {
    precision[k] = Math.max(precision[k] as number, precision[k + 1] as number);
  }
  let sum = 0;
  let k = 0;
  for (const wanted of recalls) {
    while (k < recall.length && (recall[k] as number) < wanted) k += 1;
    sum += precision[k] ?? 0;
  }
  return sum / recalls.length;
}
