/** The engine's models, as studio uses them. */
import { type ImageView, outlineOf, type PromptedCell } from "../predict/imageView.js";
import { openPredictor } from "../predict/predictor.js";
import type { LowResolutionMask } from "../predict/prompts.js";
import type { Proposal } from "./api.js";
import { meantPieces } from "./meantPieces.js";
import type { OpenStudioModel, PromptView } from "./models.js";
import { runLengthsOf } from "./runLengths.js";

/** Proposals of an image that can be refined. */
const remembered = 100;

export const openEngineModel: OpenStudioModel = async (settings, priority) => {
  const predictor = await openPredictor({ ...settings, priority });
  return {
    concurrency: predictor.concurrency,
    predict: (image, signal) => predictor.predict(image, { signal }),
    view: async (image) => promptView(await predictor.embed(image)),
    dispose: () => predictor.dispose(),
  };
};

function promptView(view: ImageView): PromptView {
  const masks = new Map<number, LowResolutionMask>();
  let number = 0;
  return {
    segment: async ({ points, labels, box, refine }) => {
      const mask = refine === undefined ? undefined : masks.get(refine);
      const shown = points && points.length > 0 ? { points, labels: labels ?? [] } : {};
      const cell = await view.segment({ ...shown, ...(box && { box }), ...(mask && { mask }) });
      number++;
      masks.set(number, cell.lowResolution);
      masks.delete(number - remembered);
      return proposal(number, cell, points?.filter((_, i) => labels?.[i] === 1) ?? []);
    },
    dispose: () => view.dispose(),
  };
}

/** @param points on the cell */
function proposal(number: number, cell: PromptedCell, points: [number, number][]): Proposal {
  const { score } = cell;
  if (cell.bounds[2] === 0) return { proposal: number, score, bounds: null, mask: [], outline: [] };
  const meant = meantPieces(cell, points);
  const outline = outlineOf(meant)
    .flat()
    .map((ring) => [...ring]);
  return { proposal: number, score, bounds: meant.bounds, mask: runLengthsOf(meant.mask), outline };
}
