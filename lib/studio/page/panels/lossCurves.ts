/** Losses of the epochs of a stage as curves: those of all folds one after the other. */
import type { Epoch } from "../../api.js";

export interface LossCurves {
  /** 1, 2, ... */
  x: number[];
  /** null where there is no loss, and between folds. */
  training: (number | null)[];
  validation: (number | null)[];
  /** The lowest validation loss of the last fold. */
  best: number | null;
}

export function lossCurves(epochs: readonly Epoch[]): LossCurves {
  const curves: LossCurves = { x: [], training: [], validation: [], best: null };
  let before: Epoch | undefined;
  epochs.forEach((epoch, i) => {
    if (before && before.fold !== epoch.fold) {
      curves.x.push(i + 0.5);
      curves.training.push(null);
      curves.validation.push(null);
      curves.best = null;
    }
    const validation = epoch.validation?.total_loss ?? null;
    curves.x.push(i + 1);
    curves.training.push(epoch.train.total_loss ?? null);
    curves.validation.push(validation);
    if (validation !== null) curves.best = Math.min(curves.best ?? validation, validation);
    before = epoch;
  });
  return curves;
}
