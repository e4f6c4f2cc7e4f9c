/** Which network, with which weights, on which device. Shared by training, prediction and evaluation. */
import type { z } from "zod";
import { session } from "../settings/groups.js";
import { choice, path, setting, zod } from "./fields.js";

export const sizes = ["vit_b", "vit_l", "vit_h", "tiny"] as const;

export const modelFields = () => ({
  size: choice(sizes).default("vit_b").describe("Size of the network: vit_b is that of CellSAM; tiny is for trials on a CPU."),
  sizeOverrides: zod()
    .record(zod().string(), zod().union([zod().number(), zod().boolean(), zod().string(), zod().array(zod().number())]))
    .default({})
    .describe("Fields of the size table to change, in snake_case, e.g. { image_size: 128 }."),
  generation: setting(session.generation).describe(
    'How images are preprocessed: "plain" (CellSAM 1.0 weights) or "adv" (1.2 weights).',
  ),
  weights: path()
    .nullable()
    .default(null)
    .describe('A .pth or .safetensors file, or "cellsam-tiny", which comes with the package; null trains from scratch.'),
  device: zod()
    .string()
    .regex(/^(auto|cpu|cuda(:\d+)?)$/, { error: "must be auto, cpu, cuda or cuda:N" })
    .default("auto")
    .describe("auto (a GPU where one works, else the CPU), cpu, cuda or cuda:N."),
  precision: setting(session.precision).describe(
    "Type of numbers that the network computes with. auto: bf16 on a GPU that multiplies in it (compute capability 8.0 and " +
      "above), else fp32.",
  ),
  float32MatmulPrecision: setting(session.float32MatmulPrecision).describe(
    "How a GPU multiplies float32 numbers, as torch.set_float32_matmul_precision. highest: in float32. high: as TF32, with 10 " +
      "bits of mantissa, several times as fast; convolutions too. Without effect on a CPU, and on what bf16 computes.",
  ),
  seed: setting(session.seed).describe("Seed of all random numbers but those of the splits."),
  threads: setting(session.threads).describe("Compute threads; 0: all cores."),
  deterministic: setting(session.deterministic).describe(
    "Uses only operations whose results are the same, bit by bit, in every run.",
  ),
  priority: setting(session.priority).describe(
    "Priority of the threads that compute on a CPU: normal, or low, which yields to other programs and to the event loop.",
  ),
});

export type ModelConfig = z.output<z.ZodObject<ReturnType<typeof modelFields>>>;
