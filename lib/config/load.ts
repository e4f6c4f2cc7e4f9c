/** Reads configuration files (YAML or JSON), and merges configurations. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";
import { fromPythonFile } from "../python/files.js";
import { fromSnake, isPlain, opaque, toCamelEntry, toCamelName } from "../spelling.js";

const yaml = lazily<typeof import("yaml")>("yaml");

export type RawConfig = Record<string, unknown>;

/** Decodes UTF-8, or UTF-16 with a byte order mark as Windows writes it. @throws TypeError for other bytes */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding, { fatal: true }).decode(bytes);
}

/**
 * The content of a .yaml, .yml or .json file with its keys in camelCase, not yet checked. `environment` of an
 * experiment_config.json is not a setting and is left out, so that the file can configure another run. Files of the Python
 * module are accepted too; `notice` is called for what in them has no effect here.
 * @throws CellsamError ERR_CONFIG
 */
export async function readConfigFile(path: string, notice: (message: string) => void = () => undefined): Promise<RawConfig> {
  return configOf(await readContent(path), (message) => notice(`${path}: ${message}`));
}

/** One configuration from the three files of the Python module. @throws CellsamError ERR_CONFIG */
export async function readPythonFiles(
  files: { stage1Config?: string | undefined; stage2Config?: string | undefined; datasetConfig?: string | undefined },
  notice: (message: string) => void = () => undefined,
): Promise<RawConfig> {
  const content: RawConfig = { dataset_config: null };
  if (files.stage1Config) content.stage1_config = await readContent(files.stage1Config);
  if (files.stage2Config) content.stage2_config = await readContent(files.stage2Config);
  if (files.datasetConfig) content.dataset_config = await readContent(files.datasetConfig);
  return configOf(content, notice);
}

function configOf(content: RawConfig, notice: (message: string) => void): RawConfig {
  const { environment: _environment, $schema: _schema, ...config } = fromSnake(fromPythonFile(content, notice)) as RawConfig;
  return config;
}

async function readContent(path: string): Promise<RawConfig> {
  let text: string;
  try {
    text = decodeText(await readFile(path));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const reason = cause instanceof TypeError ? "it is neither UTF-8 nor UTF-16 text" : (cause as Error).message;
    const why = missing ? `there is no file ${resolve(path)}` : reason;
    throw new CellsamError("ERR_CONFIG", `cannot read the configuration ${path}: ${why}`, { detail: { path }, cause });
  }
  let content: unknown;
  try {
    content = path.toLowerCase().endsWith(".json") ? JSON.parse(text) : yaml().parse(text);
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)) + backslashHint(text);
    throw new CellsamError("ERR_CONFIG", `${path} does not parse: ${reason}`, { detail: { path }, cause });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new CellsamError("ERR_CONFIG", `${path} must hold keys and values`, { detail: { path } });
  }
  return content as RawConfig;
}

/** Advice for a Windows path in double quotes, as "C:\data", in which the parsers see invalid escapes. */
function backslashHint(text: string): string {
  return /"[^"\n]*\\[^"\n]*"/.test(text) ? "\nIn double quotes a backslash begins an escape: write paths with / instead." : "";
}

/** `base` with the settings of `over`, group by group: a setting that `over` does not have keeps its value in `base`. */
export function mergeConfig(base: RawConfig, over: RawConfig): RawConfig {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isPlain(below) && isPlain(value) && !opaque.has(key) ? mergeConfig(below, value) : value;
  }
  return merged;
}

/** The camelCase names on a dotted path. */
export function stepsOf(path: string): string[] {
  return path.split(".").map(toCamelName);
}

/** Sets the value at a dotted path, in either spelling, and creates missing groups. @throws CellsamError ERR_CONFIG */
export function setAt(config: RawConfig, path: string, value: unknown): void {
  const steps = path.split(".");
  const [name, entry] = toCamelEntry(steps.pop() as string, value);
  let inner = config;
  for (const step of steps.map(toCamelName)) {
    const next = inner[step];
    if (next === undefined) inner[step] = {};
    else if (typeof next !== "object" || next === null || Array.isArray(next)) {
      throw new CellsamError("ERR_CONFIG", `${path}: ${step} is a value, not a group of settings`);
    }
    inner = inner[step] as RawConfig;
  }
  inner[name] = entry;
}
