/** Opens the configured network and loads its weights, for training and for prediction. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { PredictConfig } from "../config/inference.js";
import type { modelFields } from "../config/model.js";
import { weightsFile } from "../config/shippedWeights.js";
import type { Device, LoadReport, openSession, Session } from "../engine/session.js";
import { CellsamError } from "../errors.js";

export interface OpenModelOptions {
  device: Device;
  open: typeof openSession;
  /** Called with a sentence for everything that the model did not get from the weights. */
  warn: (message: string) => void;
}

/** Looks for the file of weights, before libtorch is loaded and a network is built for it. @throws CellsamError ERR_FILE */
export function checkWeights(weights: string | null): void {
  if (weights === null) return;
  const path = weightsFile(weights);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile()) return;
  const what = found ? `${path} is no file` : `there is no file ${resolve(path)}`;
  throw new CellsamError("ERR_FILE", `weights: ${what}`, { detail: { path } });
}

/**
 * `report` is null where no weights are configured.
 * @throws CellsamError ERR_FILE where their file is missing, ERR_CHECKPOINT_... for weights that do not fit
 */
export async function openModel(
  config: Pick<PredictConfig, keyof ReturnType<typeof modelFields>>,
  { device, open, warn }: OpenModelOptions,
): Promise<{ session: Session; report: LoadReport | null }> {
  checkWeights(config.weights);
  const { size, sizeOverrides: overrides, generation, weights, ...known } = config;
  const { precision, float32MatmulPrecision, seed, threads, deterministic, priority } = known;
  const numbers = { precision, float32MatmulPrecision, deterministic };
  const session = await open({ size, overrides, generation, device, seed, threads, priority, ...numbers });
  if (!weights) {
    if (size !== "tiny")
      warn(`no weights are given, so ${size} starts with random weights; set weights to a CellSAM or SAM file`);
    return { session, report: null };
  }
  try {
    const report = await session.load(weightsFile(weights));
    for (const warning of report.warnings) warn(`weights ${weights}: ${warning}`);
    return { session, report };
  } catch (error) {
    await session.dispose();
    if (!(error instanceof CellsamError) || error.code !== "ERR_CHECKPOINT_MISMATCH") throw error;
    // A file of weights does not state the size of its network; the configuration of an experiment does.
    const advice = `The model was of size ${size}, generation ${generation}; for weights of a run, use the values in its experiment_config.json.`;
    throw new CellsamError(error.code, `${weights}: ${error.message}. ${advice}`, { detail: error.detail, cause: error });
  }
}
