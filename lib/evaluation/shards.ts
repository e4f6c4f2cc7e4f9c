/** An evaluation that several processes divide, or that goes on after it was stopped: each image is measured once and kept. */
import { resolve } from "node:path";
import type { PredictInput } from "../config/inference.js";
import { CellsamError } from "../errors.js";
import { incomplete, Parts } from "../files/parts.js";
import { checkKeys, keysOf } from "../optionKeys.js";
import { checkShard, type Shard, sharedSettings, shareOf } from "../predict/shard.js";
import { packageVersion } from "../version.js";
import { type EvaluateWeightsOptions, evaluatePairs, truthOf, weightsKeys } from "./folders.js";
import { type Kept, keptOf, measuredOf } from "./kept.js";
import { type Evaluation, type EvaluationFailure, type Measured, sumUp } from "./model.js";

export interface EvaluateShardOptions extends EvaluateWeightsOptions {
  /** Folder for what is measured of each image, a file each; the same for all shards. */
  partsDir: string;
  /** The share of the images to measure. Default: all. */
  shard?: Shard;
  /** Keeps what was measured earlier. Default false: that is an error. */
  resume?: boolean;
}

type OwnOptions = Omit<EvaluateShardOptions, keyof EvaluateWeightsOptions>;
const optionKeys = [...weightsKeys, ...keysOf<OwnOptions>({ partsDir: true, shard: true, resume: true })];

/** What all shards of an evaluation have in common. */
interface Settings extends Pick<EvaluateWeightsOptions, "binaryMasks" | "optimizeThreshold" | "keepGoing"> {
  imgPath: string;
  maskPath: string;
  settings: PredictInput;
}

/** One image, as its file has it. */
type Part = { failure: EvaluationFailure } | Kept;

/**
 * The same as evaluateWeights, for a share of the images.
 * @returns the evaluation of all images where all are measured now, else null; it is the same as without shards
 * @throws CellsamError as evaluateWeights, ERR_OUTPUT_EXISTS without `resume`, ERR_RESUME where other shards began with other
 * images or settings
 */
export async function evaluateShard(
  imgPath: string,
  maskPath: string,
  input: PredictInput,
  options: EvaluateShardOptions,
): Promise<Evaluation | null> {
  checkKeys("evaluateShard", options, optionKeys);
  const { partsDir, shard = { index: 1, count: 1 }, resume = false, ...rest } = options;
  checkShard(shard);
  const parts = partsOf(partsDir);
  let images: string[] = [];
  const { pairs, warnings } = await truthOf(imgPath, maskPath, input, rest, (all) => {
    images = all.map(({ source }) => source);
    return shareOf(all, shard);
  });
  for (const warning of warnings) options.onWarning?.(warning);
  const { binaryMasks = false, optimizeThreshold = false, keepGoing = false } = rest;
  const own = { imgPath: resolve(imgPath), maskPath: resolve(maskPath), binaryMasks, optimizeThreshold, keepGoing };
  await parts.begin({ format: 1, package: packageVersion, images, settings: { ...own, settings: sharedSettings(input) } });
  const taken = resume ? undefined : pairs.find(({ source }) => parts.has(source));
  if (taken) {
    const message = `${taken.source} was measured before, in ${partsDir}; use \`resume: true\` to keep that, or remove the folder`;
    throw new CellsamError("ERR_OUTPUT_EXISTS", message, { detail: { path: partsDir } });
  }
  const left = await lacking(pairs, parts);
  if (left.length > 0) {
    const keep = (measured: Measured) => parts.write(measured.image.image, keptOf(measured));
    const { failures = [] } = await evaluatePairs(left, input, rest, keep);
    for (const failure of failures) await parts.write(failure.image, { failure });
  }
  return (await parts.missing(images)).length === 0 ? mergeEvaluation(partsDir) : null;
}

/**
 * Sums up what all shards have measured. The folder may be removed when the result is kept.
 * @throws CellsamError ERR_INCOMPLETE naming the images that are missing, ERR_NOTHING_TO_RESUME where no shard has begun
 */
export async function mergeEvaluation(partsDir: string): Promise<Evaluation> {
  const parts = partsOf(partsDir);
  const plan = await parts.plan();
  if (!plan) {
    const message = `${partsDir} holds no evaluation of shards, which evaluate --shard writes`;
    throw new CellsamError("ERR_NOTHING_TO_RESUME", message, { detail: { path: partsDir } });
  }
  const missing = await parts.missing(plan.images);
  if (missing.length > 0) throw incomplete(partsDir, missing, plan.images.length);
  const measured: Measured[] = [];
  const failures: EvaluationFailure[] = [];
  for (const image of plan.images) {
    const part = await parts.read(image);
    if (!part) throw incomplete(partsDir, [image], plan.images.length);
    if ("failure" in part) failures.push(part.failure);
    else measured.push(measuredOf(part));
  }
  const { optimizeThreshold = false, keepGoing = false } = plan.settings;
  return sumUp(measured, failures, { optimizeThreshold, keepGoing });
}

/** What the shards of an evaluation have measured. */
function partsOf(partsDir: string): Parts<Part, Settings> {
  return new Parts(partsDir);
}

async function lacking<Pair extends { source: string }>(
  pairs: readonly Pair[],
  parts: ReturnType<typeof partsOf>,
): Promise<Pair[]> {
  const left: Pair[] = [];
  for (const pair of pairs) {
    const part = await parts.read(pair.source);
    if (!part || "failure" in part) left.push(pair); // what failed is tried again
  }
  return left;
}
