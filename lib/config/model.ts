/** Which network, with which weights, on which device. Shared by training, prediction and evaluation. */
import { z } from "zod";
import { choice, flag, integer, path } from "./fields.js";

export const sizes = ["vit_b", "vit_l", "vit_h", "tiny"] as const;

export const modelFields = {
  size: choice(sizes).default("vit_b"),
  /** Fields of the size table to change, in the table's own spelling, e.g. { image_size: 128 }. */
  sizeOverrides: z.record(z.string(), z.union([z.number(), z.boolean(), z.string(), z.array(z.number())])).default({}),
  /** How images are prepared: "plain" (CellSAM 1.0 weights) or "adv" (1.2 weights). */
  generation: choice(["plain", "adv"]).default("plain"),
  /** A .pth or .safetensors file; null trains from scratch. */
  weights: path().nullable().default(null),
  device: z
    .string()
    .regex(/^(auto|cpu|cuda(:\d+)?)$/, { error: "must be auto, cpu, cuda or cuda:N" })
    .default("auto"),
  precision: choice(["fp32", "bf16"]).default("fp32"),
  seed: integer(0, 2 ** 32 - 1).default(42),
  /** Compute threads; 0: all cores. */
  threads: integer(0, 1024).default(0),
  deterministic: flag().default(false),
};

export type ModelConfig = z.output<z.ZodObject<typeof modelFields>>;
