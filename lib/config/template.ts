/** Writes a commented configuration file: every setting with its description and default, and with chosen values filled in. */
import { lazily } from "../lazily.js";
import { snakeCase } from "../spelling.js";
import { configSchema, type JsonSchema } from "./jsonSchema.js";

const yaml = lazily<typeof import("yaml")>("yaml");

/** Settings by their snake_case names; groups are objects. */
export type Chosen = Record<string, unknown>;

const width = 110;

/** The settings that one usually changes, with those of groups behind a dot. */
const usual = new Set([
  ...["img_path", "mask_path", "output_name", "output_dir", "binary_masks", "channels", "stain_transform", "tile_size"],
  ...["augmentation", "strategy", "val_ratio", "k_folds", "groups", "size", "weights", "device", "batch_size", "preeval"],
  ...["stage1_config", "stage2_config"].flatMap((group) =>
    ["total_epochs", "learning_rate", "patience"].map((name) => `${group}.${name}`),
  ),
]);

/**
 * YAML text. Chosen settings are written; all others are comments with their defaults, so that removing a `#` changes nothing
 * yet. `facts` come first, as comments. With `short`, only the chosen settings and those that one usually changes are there.
 */
export function configTemplate(
  chosen: Chosen,
  facts: readonly string[] = [],
  { short = false }: { short?: boolean } = {},
): string {
  const full = configSchema("experiment");
  const schema = short ? shortened(full, chosen, "") : full;
  const about = short ? ["The settings that one usually changes; without --short, `cellsam init` writes all of them."] : [];
  const head = [
    "# yaml-language-server: $schema=node_modules/cellsam-train/schema/experiment.schema.json",
    ...[...facts, ...about].flatMap(comment),
  ];
  return `${[...head, "", ...group(schema, chosen, "")].join("\n")}\n`;
}

/** The schema without what is neither chosen nor usual. */
function shortened(schema: JsonSchema, chosen: Chosen, path: string): JsonSchema {
  const fields = Object.entries(schema.properties as Record<string, JsonSchema>).flatMap(([name, field]) => {
    if (!field.properties) return usual.has(path + name) || name in chosen ? [[name, field]] : [];
    const inner = shortened(field, (chosen[name] ?? {}) as Chosen, `${path}${name}.`);
    return Object.keys(inner.properties as object).length > 0 ? [[name, inner]] : [];
  });
  return { ...schema, properties: Object.fromEntries(fields) };
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
