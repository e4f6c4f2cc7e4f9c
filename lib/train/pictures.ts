/** Draws the validation images of a finished fold on which the model is best and worst. */
import { join } from "node:path";
import { fixedThreshold, predictOptions } from "../config/inference.js";
import type { Pair } from "../data/discover.js";
import { pairImage, pairLabels } from "../data/pair.js";
import type { EvaluationContext, ImageEvaluation } from "../evaluation/model.js";
import { writeOverlay } from "../report/overlay.js";

/** Number of images from each end of the ranking. */
const perEnd = 2;

/**
 * Writes best_1_NAME.png, best_2_..., worst_1_... into `folder`, ranked by AP at IoU 0.5, for which it predicts those images
 * again, with `threshold` in place of the configured one where it is not null. A picture that cannot be drawn, because memory or disk space is short, is only a warning.
 */
export async function drawExtremes(
  context: EvaluationContext & { warn: (message: string) => void },
  pairs: readonly Pair[],
  evaluations: readonly ImageEvaluation[],
  folder: string,
  threshold: number | null,
): Promise<void> {
  const { session, config, signal, warn } = context;
  const ranked = [...evaluations].sort((a, b) => b.metrics.ap50 - a.metrics.ap50);
  const best = ranked.slice(0, Math.min(perEnd, Math.ceil(ranked.length / 2)));
  const worst = ranked.slice(Math.max(best.length, ranked.length - perEnd)).reverse();
  const chosen = [
    ...best.map(({ image }, i) => ({ source: image, name: `best_${i + 1}_${image}.png` })),
    ...worst.map(({ image }, i) => ({ source: image, name: `worst_${i + 1}_${image}.png` })),
  ];
  const draw = async (pair: Pair, path: string) => {
    const image = await pairImage(pair, config);
    const truth = await pairLabels(pair, config);
    const { labels } = await session.predict({
      image,
      ...predictOptions(config, config.tileSize),
      ...fixedThreshold(threshold),
      signal,
    });
    const [height = 0, width = 0] = labels.shape;
    await writeOverlay(path, image, truth, { data: labels.data, shape: [height, width] });
  };
  for (const { source, name } of chosen) {
    const pair = pairs.find((candidate) => candidate.source === source) as Pair;
    await draw(pair, join(folder, name)).catch((error: Error) => {
      signal?.throwIfAborted();
      // An error without a code is a fault of this program.
      if (!("code" in error)) throw error;
      warn(`${name} was not drawn: ${error.message}`);
    });
  }
}
