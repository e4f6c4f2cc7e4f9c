/** Reads configuration files (YAML or JSON) and applies `key.path=value` settings to them. */
import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { CellsamError } from "../errors.js";
import { fromSnake, isPlain, opaque, toCamelEntry, toCamelName } from "./python.js";

export type RawConfig = Record<string, unknown>;

/**
 * The content of a .yaml, .yml or .json file with its keys in camelCase; not yet checked. `environment`, in which
 * experiment_config.json tells where it was trained, is no setting and is left out: that file configures a run like any other.
 */
export async function readConfigFile(path: string): Promise<RawConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new CellsamError("ERR_CONFIG", `cannot read the configuration ${path}`, { detail: { path }, cause });
  }
  let content: unknown;
  try {
    content = path.toLowerCase().endsWith(".json") ? JSON.parse(text) : parseYaml(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CellsamError("ERR_CONFIG", `${path} does not parse: ${reason}`, { detail: { path }, cause });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new CellsamError("ERR_CONFIG", `${path} must hold keys and values`, { detail: { path } });
  }
  const { environment: _environment, ...config } = fromSnake(content) as RawConfig;
  return config;
}

/** `over` laid over `base`, group by group: what `over` does not name stays as it is in `base`. */
export function mergeConfig(base: RawConfig, over: RawConfig): RawConfig {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isPlain(below) && isPlain(value) && !opaque.has(key) ? mergeConfig(below, value) : value;
  }
  return merged;
}

/** Sets the value at a dotted path, in either spelling, creating the objects on the way. */
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

/** Applies settings such as `stage1_config.learning_rate=1e-3`; values are read as YAML scalars or lists. */
export function applySettings(config: RawConfig, settings: readonly string[]): void {
  for (const setting of settings) {
    const at = setting.indexOf("=");
    if (at < 1) throw new CellsamError("ERR_CONFIG", `${setting}: expected key=value`);
    setAt(config, setting.slice(0, at).trim(), parseYaml(setting.slice(at + 1)));
  }
}
