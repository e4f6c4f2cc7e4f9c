/** Presets: settings that go together, as `cellsam init --preset` writes them and as a training by flags alone starts from. */
import { CellsamError } from "../errors.js";
import { fromSnake, toSnake } from "../spelling.js";
import { ExperimentConfig, type ExperimentInput } from "./experiment.js";
import { mergeConfig, type RawConfig } from "./load.js";
import type { ConfigProblem } from "./parse.js";
import { shippedSettings } from "./shippedWeights.js";
import type { Chosen } from "./template.js";

/** By name, with keys and values as in files. */
export const presets = {
  tiny: {
    strategy: "train_val_split",
    weights: "cellsam-tiny",
    ...(toSnake(shippedSettings("cellsam-tiny")) as Chosen),
    augmentation: true,
    batch_size: 4,
    min_fragment_area: 20,
    preeval: true,
    stage1_config: {
      total_epochs: 30,
      optimizer: "muon", // docs/learning.md, "Few images of one kind"
      learning_rate: 1e-3,
      dense_loss_weight: 1,
      scheduler: "cosine",
      warmup_fraction: 0.05,
      set_cost_bbox: 5,
      set_cost_giou: 2,
    },
    stage2_config: {
      total_epochs: 20,
      learning_rate: 3e-4,
      scheduler: "cosine",
      warmup_fraction: 0.05,
      train_neck_only: false,
      freeze_image_encoder: false,
      freeze_prompt_encoder: false,
      freeze_mask_decoder: false,
      boundary_loss_weight: 0,
      iou_loss_weight: 1,
      box_jitter: 0.05,
    },
  },
  quick: {
    strategy: "train_val_split",
    preeval: true,
    stage1_config: { total_epochs: 5 },
    stage2_config: { total_epochs: 5 },
    debug: true,
  },
  nuclei: {
    normalize: true,
    augmentation: true,
    preeval: true,
    stage1_config: { total_epochs: 100 },
    stage2_config: { total_epochs: 100 },
  },
  he: { stain_transform: true, gamma: 2.1, eosin: 0, dab: 0, augmentation: true, preeval: true },
  ihc: { stain_transform: true, gamma: 2.1, eosin: 0, dab: 1, augmentation: true, preeval: true },
  k_fold: { strategy: "k_fold", k_folds: 5, preeval: true, augmentation: true },
} as const satisfies Record<string, Chosen>;
export type Preset = keyof typeof presets;

/** The preset that was made for shipped weights; undefined for other weights. */
export function presetOf(weights: unknown): Preset | undefined {
  const names = Object.keys(presets) as Preset[];
  return typeof weights === "string" ? names.find((name) => (presets[name] as Chosen).weights === weights) : undefined;
}

/**
 * The settings of a preset below those of `config` (camelCase). Settings of the preset that contradict those of `config`, such as
 * a part that is not to be frozen where everything is, are left out.
 */
export function overPreset(preset: Preset, config: RawConfig): RawConfig {
  const own = fromSnake(presets[preset]) as RawConfig;
  const merged = mergeConfig(own, config);
  try {
    new ExperimentConfig(merged as ExperimentInput);
  } catch (error) {
    if (!(error instanceof CellsamError)) throw error;
    for (const { key } of (error.detail.problems ?? []) as ConfigProblem[]) {
      if (!has(config, key)) remove(own, key);
    }
    return mergeConfig(own, config);
  }
  return merged;
}

function has(config: RawConfig, key: string): boolean {
  const value = key.split(".").reduce<unknown>((inner, step) => (inner as RawConfig | undefined)?.[step], config);
  return value !== undefined;
}

function remove(config: RawConfig, key: string): void {
  const steps = key.split(".");
  const last = steps.pop() as string;
  const group = steps.reduce<RawConfig | undefined>((inner, step) => inner?.[step] as RawConfig | undefined, config);
  if (group) delete group[last];
}
