/** Opens a model that finds cells by itself. */
import { type PredictConfig, type PredictInput, predictConfig } from "../config/inference.js";
import { resolveDevice } from "../engine/device.js";
import { openSession, type Session } from "../engine/session.js";
import { CellsamError } from "../errors.js";
import { checkWeights, openModel } from "./model.js";

export interface OpenDetectorOptions {
  onWarning?: (message: string) => void;
  /** Opens the model, in place of the engine. */
  openSession?: typeof openSession;
}

/**
 * Opens a model with a trained detector.
 * @throws CellsamError ERR_CONFIG without weights, ERR_FILE where their file is missing, ERR_CHECKPOINT_MISMATCH without a
 * detector
 */
export async function openDetector(
  input: PredictInput,
  { onWarning = () => undefined, ...options }: OpenDetectorOptions = {},
): Promise<{ session: Session; config: PredictConfig }> {
  const config = predictConfig(input);
  if (!config.weights)
    throw new CellsamError(
      "ERR_CONFIG",
      "weights: give the .pth or .safetensors file of a trained model, or cellsam-tiny, which comes with this package",
    );
  checkWeights(config.weights);
  const device = await resolveDevice(config.device, onWarning);
  const { session, report } = await openModel(config, {
    device,
    open: options.openSession ?? openSession,
    warn: onWarning,
  });
  // A SAM checkpoint loads, since training may start from it, but its detector would be random.
  const missing = report?.missing.filter((name) => name.startsWith("cellfinder.")) ?? [];
  if (missing.length > 0) {
    await session.dispose();
    const message = `${config.weights} holds no trained detector (${missing[0]} is missing); train stage 1 first, or give boxes to a session's predict`;
    throw new CellsamError("ERR_CHECKPOINT_MISMATCH", message, { detail: { missing } });
  }
  return { session, config };
}
