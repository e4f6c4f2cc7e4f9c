/**
 * The weights that come with the package: `weights: cellsam-tiny` in place of a path. They set the defaults of the settings
 * that they were trained with. models/cellsam-tiny.md has their data, licence and scores.
 */
import { join } from "node:path";
import type { z } from "zod";
import { nearest } from "../nearest.js";
import { isPlain } from "../spelling.js";
import { packageFolder } from "../version.js";
import { mergeConfig, type RawConfig } from "./load.js";

interface Shipped {
  file: string;
  /** The size of network that the weights fit. */
  size: string;
  /** How images are read and cut, and how boxes become cells. */
  settings: { normalize: boolean; greyChannel: string; tileSize: number; inference: { nmsIou: number; tileOverlap: number } };
}

const shipped: Record<string, Shipped> = {
  "cellsam-tiny": {
    file: "cellsam-tiny.safetensors",
    size: "tiny",
    settings: { normalize: true, greyChannel: "all", tileSize: 128, inference: { nmsIou: 0.5, tileOverlap: 0.5 } },
  },
};

export const shippedNames = Object.keys(shipped);

function shippedOf(weights: unknown): Shipped | undefined {
  return typeof weights === "string" && Object.hasOwn(shipped, weights) ? shipped[weights] : undefined;
}

/**
 * The file of a `weights` setting. The name of shipped weights is never a path; a file of that name in the working directory is
 * ./name.
 */
export function weightsFile(weights: string): string {
  const own = shippedOf(weights);
  return own ? join(packageFolder, "models", own.file) : weights;
}

/** The settings of a training that come with `weights`; none for a path. */
export function shippedSettings(weights: unknown): RawConfig {
  const own = shippedOf(weights);
  return own ? { size: own.size, ...structuredClone(own.settings) } : {};
}

/** The configuration of a training, with the defaults of its weights. */
export function overShipped(config: unknown): unknown {
  return isPlain(config) ? mergeConfig(shippedSettings(config.weights), config) : config;
}

/** The same for a prediction, in which the tile size is a setting of inference. */
export function predictionOverShipped(config: unknown): unknown {
  if (!isPlain(config)) return config;
  const { tileSize, inference, ...settings } = shippedSettings(config.weights);
  return mergeConfig({ ...settings, ...(isPlain(inference) && { inference: { ...inference, tileSize } }) }, config);
}

/** Checks `weights` and `size`: for `superRefine` of every schema with the settings of the model. */
export function checkShipped({ weights, size }: { weights: string | null; size: string }, context: z.RefinementCtx): void {
  const own = shippedOf(weights);
  const meant = weights && !own && !/[./\\]/.test(weights) ? nearest(weights, shippedNames) : undefined;
  if (meant) {
    const message = `${weights} is not the name of weights in the package: did you mean ${meant}? A file of that name is ./${weights}`;
    context.addIssue({ code: "custom", path: ["weights"], message });
  }
  if (!own || own.size === size) return;
  const message = `is ${size}, but the weights ${weights} are of size ${own.size}: leave size out, or choose other weights`;
  context.addIssue({ code: "custom", path: ["size"], message });
}
