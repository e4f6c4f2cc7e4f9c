/**
 * Configuration objects: plain to read (`config.batchSize`), to spread, to clone and to write as JSON, and checked whenever they
 * change. Every setting is an accessor on the object itself, so that an assignment is checked like the constructor's input.
 */
import type { z } from "zod";
import { writeAtomic } from "../data/write.js";
import { lazily } from "../lazily.js";
import { isPlain, toSnake } from "../spelling.js";
import { zod } from "./fields.js";
import { mergeConfig, type RawConfig, readConfigFile, setAt, stepsOf } from "./load.js";
import { configError, knownKeys, parseConfig, unknownKey } from "./parse.js";

const yaml = lazily<typeof import("yaml")>("yaml");

/** What every configuration object can do. Paths are dotted and take either spelling: `stage1_config.patience`. */
export interface ConfigMethods {
  /** The value at `path`. For an unknown path `fallback`, or an error where none is given. @throws CellsamError ERR_CONFIG */
  get(path: string, fallback?: unknown): unknown;
  /** Changes the value at `path` and checks the whole configuration again. A refused change leaves it as it was. @throws CellsamError ERR_CONFIG */
  set(path: string, value: unknown): void;
  /** Lays a YAML or JSON file over this configuration, group by group. `notice` hears what a Python file holds without effect. @throws CellsamError ERR_CONFIG */
  loadFromFile(path: string, notice?: (message: string) => void): Promise<void>;
  /** Writes .yaml, .yml or .json with snake_case keys. @throws CellsamError ERR_CONFIG, ERR_FILE */
  saveToFile(path: string): Promise<void>;
  /** Pure JSON with the snake_case keys of the files; the constructor takes it back. */
  toDict(): Record<string, unknown>;
}

/** One configuration as a whole: `values` is replaced, never changed in place. */
interface Root {
  title: string;
  schema: z.ZodType;
  values: RawConfig;
}

interface Place {
  root: Root;
  /** Where in the root this group of settings is. */
  path: readonly string[];
}

const places = new WeakMap<object, Place>();
/** Methods of the class made for a schema, which groups of that schema inside other configurations have too. */
const classes: { schema: () => z.ZodObject; prototype: object }[] = [];

function placeOf(object: object): Place {
  const place = places.get(object);
  if (!place) throw new TypeError("this is not a configuration");
  return place;
}

function valueAt({ root, path }: Place): unknown {
  return path.reduce<unknown>((value, step) => (value as RawConfig)[step], root.values);
}

function change(root: Root, edit: (values: RawConfig) => RawConfig): void {
  root.values = frozen(parseConfig(root.title, root.schema, edit(structuredClone(root.values)))) as RawConfig;
}

/** Lists and opaque values are handed out as they are, so nothing may change them behind the checks. */
function frozen(value: unknown): unknown {
  if (typeof value === "object" && value !== null) for (const entry of Object.values(Object.freeze(value))) frozen(entry);
  return value;
}

/** The settings of a field that is a group of them, always there. */
function groupOf(field: unknown): z.ZodObject | undefined {
  let inner = field;
  while (inner instanceof zod().ZodDefault || inner instanceof zod().ZodPrefault) inner = inner.unwrap();
  return inner instanceof zod().ZodObject ? inner : undefined;
}

/** Gives `object` an accessor for every setting of `schema`, and for groups an object of their own. */
function expose(object: object, schema: z.ZodObject, place: Place): void {
  places.set(object, place);
  for (const [key, field] of Object.entries(schema.shape)) {
    const path = [...place.path, key];
    const inner = groupOf(field);
    const group = inner && Object.create(methodsOf(inner));
    if (inner) expose(group, inner, { root: place.root, path });
    Object.defineProperty(object, key, {
      enumerable: true,
      get: () => group ?? valueAt({ root: place.root, path }),
      set: (value: unknown) => change(place.root, (values) => put(values, path, value)),
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
        const { root, path: above } = placeOf(this);
        const keys = knownKeys(root.schema, [...above, ...seen]);
        throw configError(root.title, [{ key: path, message: unknownKey(step, keys) }]);
      }
      value = (value as RawConfig)[step];
      seen.push(step);
    }
    return value;
  },
  set(path, value) {
    const { root, path: above } = placeOf(this);
    change(root, (values) => put(values, [...above, path], value));
  },
  async loadFromFile(path, notice) {
    const place = placeOf(this);
    const over = place.path.reduceRight<RawConfig>((inner, step) => ({ [step]: inner }), await readConfigFile(path, notice));
    change(place.root, (values) => mergeConfig(values, over));
  },
  async saveToFile(path) {
    const { root } = placeOf(this);
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

/** The methods, and a guard: an assignment to a name that no setting has ends up here, at the end of the prototype chain. */
const methods = new Proxy(plainMethods, {
  set(_methods, key, _value, object) {
    const { root, path } = placeOf(object);
    const name = String(key);
    throw configError(root.title, [
      { key: [...path, name].join("."), message: unknownKey(name, knownKeys(root.schema, path)) },
    ]);
  },
});

type ConfigClass<S extends z.ZodType, M> = new (input?: z.input<S>) => z.output<S> & ConfigMethods & M;

/**
 * A class whose instances are checked configurations, `new Stage1Config({ patience: 3 })`, with `extra` methods of its own. Making it
 * does not build `schema`. `prepare` completes the input with defaults that depend on it.
 */
export function configClass<S extends z.ZodObject, M extends object = object>(
  title: string,
  schema: () => S,
  extra: M & ThisType<z.output<S>> = {} as M,
  prepare: (input: unknown) => unknown = (input) => input,
): ConfigClass<S, M> {
  class CheckedConfig {
    constructor(input?: z.input<S>) {
      const values = frozen(parseConfig(title, schema(), prepare(input ?? {}))) as RawConfig;
      expose(this, schema(), { root: { title, schema: schema(), values }, path: [] });
    }
  }
  Object.defineProperty(CheckedConfig, "name", { value: title });
  Object.setPrototypeOf(CheckedConfig.prototype, methods);
  for (const [name, value] of Object.entries(extra)) Object.defineProperty(CheckedConfig.prototype, name, { value });
  classes.push({ schema, prototype: CheckedConfig.prototype });
  return CheckedConfig as unknown as ConfigClass<S, M>;
}
