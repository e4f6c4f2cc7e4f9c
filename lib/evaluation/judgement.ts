/**
 * Warnings that follow from the scores of an evaluation: of a model that finds nothing, and of one that training has made
 * worse.
 */

interface Judged {
  counts?: { truth: number; predicted: number };
}

/** The metrics by which two models are compared, higher is better, and how messages call them. */
const compared = {
  ap50: "AP at .5",
  meanAp: "mean AP",
  f1: "F1",
  pq: "PQ",
  meanPromptIou: "mean IoU with true boxes",
} as const;

/** A warning when no cell was predicted in any image although there are some; null otherwise. */
export function emptyPredictions({ counts }: Judged, what: string): string | null {
  if (!counts || counts.predicted > 0 || counts.truth === 0) return null;
  return `${what}: not a single cell was predicted in any image, although there are ${counts.truth}. Lower inference.bboxThreshold, or look at the weights, the channels and the intensity setting`;
}

/** A warning that names every metric that is lower after the training, with both numbers; null when none is. */
export function worseThanBefore(before: object, after: object, where: string): string | null {
  const value = (summary: object, name: string) => (summary as Record<string, unknown>)[name];
  const worse = Object.entries(compared).flatMap(([name, label]) => {
    const [was, is] = [value(before, name), value(after, name)];
    return typeof was === "number" && typeof is === "number" && is < was
      ? [`${label} ${was.toFixed(4)} -> ${is.toFixed(4)}`]
      : [];
  });
  if (worse.length === 0) return null;
  return `${where}: the trained model is worse than the one it started from: ${worse.join(", ")}. Lower the learning rates, or check the masks`;
}
