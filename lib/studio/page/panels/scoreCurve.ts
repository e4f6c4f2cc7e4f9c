/** F1 of the held-out images over the epochs of all stages, of all folds one after the other. */
import type { Epoch } from "../../api.js";

export interface ScoreCurve {
  /** Epochs of all stages that are done; 0 before the training. */
  x: number[];
  /** null between folds. */
  f1: (number | null)[];
  /** The last and the highest one after an epoch; null without any. */
  last: number | null;
  best: number | null;
}

/** @param before F1 before the training */
export function scoreCurve(epochs: readonly Epoch[], before: number | null): ScoreCurve {
  const points = epochs.map(({ fold, scores }, i) => ({ x: i + 1, fold, f1: scores?.f1 ?? null }));
  const measured = points.filter(({ f1 }) => f1 !== null);
  const curve: ScoreCurve = { x: [], f1: [], last: measured.at(-1)?.f1 ?? null, best: null };
  if (before !== null) add(curve, 0, before);
  measured.forEach(({ x, fold, f1 }, i) => {
    if (i > 0 && measured[i - 1]?.fold !== fold) add(curve, x - 0.5, null);
    add(curve, x, f1);
    curve.best = Math.max(curve.best ?? 0, f1 as number);
  });
  return curve;
}

function add(curve: ScoreCurve, x: number, f1: number | null): void {
  curve.x.push(x);
  curve.f1.push(f1);
}
