/** The engine's models, as studio uses them. */

import { CellsamError } from "../errors.js";
import { openPredictor } from "../predict/predictor.js";
import type { OpenStudioModel } from "./models.js";

export const openEngineModel: OpenStudioModel = async (settings, priority) => {
  const predictor = await openPredictor({ ...settings, priority });
  return {
    concurrency: predictor.concurrency,
    predict: (image, signal) => predictor.predict(image, { signal }),
    view: async () => {
      throw new CellsamError("ERR_STATE", "this version of the engine has no prompts");
    },
    dispose: () => predictor.dispose(),
  };
};
