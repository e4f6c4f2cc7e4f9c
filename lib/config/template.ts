/** Writes a commented configuration file: every setting with its description and default, and with chosen values filled in. */
import { lazily } from "../lazily.js";
import { snakeCase, toSnake } from "../spelling.js";
import { configSchema, type JsonSchema } from "./jsonSchema.js";
import { shippedSettings } from "./shippedWeights.js";

const yaml = lazily<typeof import("yaml")>("yaml");

/** Settings by their snake_case names; groups are objects. */
export type Chosen = Record<string, unknown>;

const width = 110;

/**
 * YAML text. Chosen settings are written; all others are comments with their defaults, so that removing a `#` changes nothing
 * yet. `facts` come first, as comments.
 */
export function configTemplate(chosen: Chosen, facts: readonly string[] = []): string {
  const schema = configSchema("experiment");
  const head = [
    "# yaml-language-server: $schema=node_modules/cellsam-train/schema/experiment.schema.json",
    ...facts.flatMap(comment),
  ];
  return `${[...head, "", ...group(schema, chosen, "")].join("\n")}\n`;
}

function group(schema: JsonSchema, chosen: Chosen, indent: string): string[] {
  const { environment: _environment, $schema: _schema, ...properties } = schema.properties as Record<string, JsonSchema>;
  const required = (schema.required ?? []) as string[];
  const names = Object.keys(properties).sort((a, b) => Number(required.includes(b)) - Number(required.includes(a)));
  return names.flatMap((name) => {
    const field = properties[name] as JsonSchema;
    const about = comment(explained(field)).map((line) => indent + line);
    if (field.properties) {
      const inner = group(field, (chosen[name] ?? {}) as Chosen, `${indent}  `);
      const written = inner.some((line) => line.trim() !== "" && !line.trim().startsWith("#"));
      return ["", ...about, `${indent}${written ? "" : "# "}${name}:`, ...inner];
    }
    const value = name in chosen ? chosen[name] : field.default;
    const line = `${name}: ${value === undefined ? "" : flow(value)}`.trimEnd();
    return [...about, `${indent}${name in chosen ? "" : "# "}${line}`];
  });
}

/** The description of a setting, and its allowed values. */
function explained(field: JsonSchema): string {
  const options = [field, ...((field.anyOf ?? []) as JsonSchema[])];
  const names = options.flatMap((option) => (option.enum ?? []) as string[]);
  const allowed = names.length > 0 ? ` One of ${names.join(", ")}.` : "";
  return `${String(field.description ?? "")}${allowed}`.trim();
}

function flow(value: unknown): string {
  return yaml().stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
}

/** `# ` lines of at most `width` characters. */
function comment(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (word === "") continue;
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`# ${word}`);
  }
  return lines;
}

/** Presets of `cellsam init`, with keys and values as in files. */
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
      learning_rate: 3e-4,
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
  quick: { strategy: "train_val_split", stage1_config: { total_epochs: 5 }, stage2_config: { total_epochs: 5 }, debug: true },
  nuclei: { normalize: true, augmentation: true, stage1_config: { total_epochs: 100 }, stage2_config: { total_epochs: 100 } },
  he: { stain_transform: true, gamma: 2.1, eosin: 0, dab: 0, augmentation: true },
  ihc: { stain_transform: true, gamma: 2.1, eosin: 0, dab: 1, augmentation: true },
  k_fold: { strategy: "k_fold", k_folds: 5, preeval: true, augmentation: true },
} as const satisfies Record<string, Chosen>;
export type Preset = keyof typeof presets;

/** A name for the experiment, from the last part of a path. */
export function nameOf(path: string): string {
  return (
    snakeCase(
      path
        .replace(/[/\\]+$/, "")
        .split(/[/\\]/)
        .at(-1) ?? "",
    ).replace(/[^a-z0-9_-]+/g, "_") || "experiment"
  );
}
