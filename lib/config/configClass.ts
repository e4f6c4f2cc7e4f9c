/**
 * Configuration objects: they can be read (`config.batchSize`), spread, cloned and written as JSON like plain objects, and are
 * checked whenever they change. Every setting is an accessor of the object, so that an assignment is checked like the
 * constructor's input.
 */
import type { z } from "zod";
import { writeAtomic } from "../files/writeAtomic.js";
import { lazily } from "../lazily.js";
import { isPlain, toSnake } from "../spelling.js";
import { zod } from "./fields.js";
import { mergeConfig, type RawConfig, readConfigFile, setAt, stepsOf } from "./load.js";
import { configError, knownKeys, parseConfig, unknownKey } from "./parse.js";

const yaml = lazily<typeof import("yaml")>("yaml");

/** Methods of every configuration object. Paths are dotted, in either spelling: `stage1_config.patience`. */
export interface ConfigMethods {
  /** The value at `path`. For an unknown path `fallback`, or an error where none is given. @throws CellsamError ERR_CONFIG */
  get(path: string, fallback?: unknown): unknown;
  /**
   * Changes the value at `path` and checks the whole configuration again. A refused change leaves it as it was.
   * @throws CellsamError ERR_CONFIG
   */
  set(path: string, value: unknown): void;
  /**
   * Lays a YAML or JSON file over this configuration, group by group. `notice` is called for keys of a file of the Python
   * module that have no effect.
   * @throws CellsamError ERR_CONFIG
   */
  loadFromFile(path: string, notice?: (message: string) => void): Promise<void>;
  /** Writes .yaml, .yml or .json with snake_case keys. @throws CellsamError ERR_CONFIG, ERR_FILE */
  saveToFile(path: string): Promise<void>;
  /** A plain object with the snake_case keys of the files; the constructor accepts it. */
  toDict(): Record<string, unknown>;
}

/** A whole configuration. `values` is replaced, never modified. */
interface Root {
  title: string;
  schema: z.ZodType;
  values: RawConfig;
}

/** Which part of a configuration an object is: all of it, or a group of settings. */
interface ConfigPart {
  root: Root;
  /** The keys that lead to the group. */
  path: readonly string[];
}

const parts = new WeakMap<object, ConfigPart>();
/** The methods of each class, by schema: a group with that schema in another configuration has them too. */
const classes: { schema: () => z.ZodObject; prototype: object }[] = [];

function partOf(object: object): ConfigPart {
  const part = parts.get(object);
  if (!part) throw new TypeError("this is not a configuration");
  return part;
}

function valueAt({ root, path }: ConfigPart): unknown {
  return path.reduce<unknown>((value, step) => (value as RawConfig)[step], root.values);
}

function change(root: Root, edit: (values: RawConfig) => RawConfig): void {
  root.values = frozen(parseConfig(root.title, root.schema, edit(structuredClone(root.values)))) as RawConfig;
}

/** Lists and opaque values are returned without a copy, so they are frozen: a change would not be checked. */
function frozen(value: unknown): unknown {
  if (typeof value === "object" && value !== null) for (const entry of Object.values(Object.freeze(value))) frozen(entry);
  return value;
}

/** The schema of a field that is a group of settings and always present. */
function groupOf(field: unknown): z.ZodObject | undefined {
  let inner = field;
  while (inner instanceof zod().ZodDefault || inner instanceof zod().ZodPrefault) inner = inner.unwrap();
  return inner instanceof zod().ZodObject ? inner : undefined;
}

/** Gives `object` an accessor for every setting of `schema`; a group is an object of its own. */
function expose(object: object, schema: z.ZodObject, part: ConfigPart): void {
  parts.set(object, part);
  for (const [key, field] of Object.entries(schema.shape)) {
    const path = [...part.path, key];
    const inner = groupOf(field);
    const group = inner && Object.create(methodsOf(inner));
    if (inner) expose(group, inner, { root: part.root, path });
    Object.defineProperty(object, key, {
      enumerable: true,
      get: () => group ?? valueAt({ root: part.root, path }),
      set: (value: unknown) => change(part.root, (values) => put(values, path, value)),
    });
  }
  Object.preventExtensions(object);
}

function methodsOf(schema: z.ZodObject): object {
  return classes.find((known) => known.schema() === schema)?.prototype ?? methods;
}

function put(values: RawConfig, path: readonly string[], value: unknown): RawConfig {
  setAt(values, path.join("."), value);
  return values;
}

const plainMethods: ConfigMethods & ThisType<object> = {
  get(path, fallback) {
    let value: unknown = this;
    const seen: string[] = [];
    for (const step of stepsOf(path)) {
      const known = isPlain(value) && Object.hasOwn(value, step);
      if (!known && fallback !== undefined) return fallback;
      if (!known) {
        const { root, path: above } = partOf(this);
        const keys = knownKeys(root.schema, [...above, ...seen]);
        throw configError(root.title, [{ key: path, message: unknownKey(step, keys) }]);
      }
      value = (value as RawConfig)[step];
      seen.push(step);
    }
    return value;
  },
  set(path, value) {
    const { root, path: above } = partOf(this);
    change(root, (values) => put(values, [...above, path], value));
  },
  async loadFromFile(path, notice) {
    const part = partOf(this);
    const over = part.path.reduceRight<RawConfig>((inner, step) => ({ [step]: inner }), await readConfigFile(path, notice));
    change(part.root, (values) => mergeConfig(values, over));
  },
  async saveToFile(path) {
    const { root } = partOf(this);
    const json = path.toLowerCase().endsWith(".json");
    if (!json && !/\.ya?ml$/i.test(path)) {
      throw configError(root.title, [{ key: path, message: "must end in .yaml, .yml or .json" }]);
    }
    const content = plainMethods.toDict.call(this);
    await writeAtomic(path, json ? `${JSON.stringify(content, null, 2)}\n` : yaml().stringify(content));
  },
  toDict() {
    return toSnake(JSON.parse(JSON.stringify(this))) as Record<string, unknown>;
  },
};

/** The methods, with a guard at the end of the prototype chain that refuses an assignment to an unknown setting. */
const methods = new Proxy(plainMethods, {
  set(_methods, key, _value, object) {
    const { root, path } = partOf(object);
    const name = String(key);
    throw configError(root.title, [
      { key: [...path, name].join("."), message: unknownKey(name, knownKeys(root.schema, path)) },
    ]);
  },
});

/** The fields of `S` that are groups of settings, which have the methods of a configuration too. */
type GroupNames<S extends z.ZodObject> = {
  [K in keyof S["shape"]]: S["shape"][K] extends z.ZodPrefault<z.ZodObject> | z.ZodDefault<z.ZodObject> ? K : never;
}[keyof S["shape"]];

type ConfigClass<S extends z.ZodObject, M> = new (
  input?: z.input<S>,
) => z.output<S> & { readonly [K in GroupNames<S>]: ConfigMethods } & ConfigMethods & M;

/**
 * Makes a class whose instances are checked configurations, `new Stage1Config({ patience: 3 })`, with `extra` methods. `schema`
 * is built by the first instance. `prepare` adds defaults that depend on the input.
 */
export function configClass<S extends z.ZodObject, M extends object = object>(
  title: string,
  schema: () => S,
  extra: M & ThisType<z.output<S>> = {} as M,
  prepare?: (config: unknown) => unknown,
): ConfigClass<S, M> {
  class CheckedConfig {
    constructor(input?: z.input<S>) {
      const values = frozen(parseConfig(title, schema(), input ?? {}, prepare)) as RawConfig;
      expose(this, schema(), { root: { title, schema: schema(), values }, path: [] });
    }
  }
  Object.defineProperty(CheckedConfig, "name", { value: title });
  Object.setPrototypeOf(CheckedConfig.prototype, methods);
  for (const [name, value] of Object.entries(extra)) Object.defineProperty(CheckedConfig.prototype, name, { value });
  classes.push({ schema, prototype: CheckedConfig.prototype });
  return CheckedConfig as unknown as ConfigClass<S, M>;
}
