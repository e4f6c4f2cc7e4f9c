/**
 * Makes the trials of a space: every combination of a grid, or seeded random draws. Each effective configuration occurs only
 * once.
 */
import { ExperimentConfig, type ExperimentInput } from "../config/experiment.js";
import { type RawConfig, setAt } from "../config/load.js";
import { type HyperparameterSpace, type Parameter, type ParameterValue, parametersOf } from "../config/space.js";
import { Random } from "../data/random.js";
import { CellsamError } from "../errors.js";

export type Hyperparameters = Record<string, ParameterValue>;

export interface Trial {
  /** Counted from 1. */
  trialId: number;
  /** Values of the searched settings; one that has no effect in this trial is left out. */
  hyperparameters: Hyperparameters;
  config: ExperimentConfig;
}

export interface TrialList {
  trials: Trial[];
  /** What the user should know: combinations left out, settings without effect. */
  notes: string[];
}

/**
 * Spaces of up to so many combinations are listed and drawn from without replacement; in larger ones repeated draws are
 * rejected.
 */
const listed = 2 ** 16;

/** Whether a setting has no effect in `config`. */
function hasNoEffect(config: RawConfig, path: string): boolean {
  const stage1 = config.stages === undefined || (config.stages as number[]).includes(1);
  const stage2 = config.stages === undefined || (config.stages as number[]).includes(2);
  if (path.startsWith("stage1Config.")) return !stage1;
  if (path === "stage2Config.boundaryLossWeight")
    return !stage2 || (config.stage2Config as RawConfig | undefined)?.useBoundaryLoss === false;
  if (path.startsWith("stage2Config.")) return !stage2;
  if (path === "complexAugmentation") return config.augmentation !== true;
  if (path === "gamma") return config.stainTransform !== true;
  if (path === "eosin" || path === "dab") return config.stainTransform !== true || config.onlyNuclei === true;
  return false;
}

function valueAt(config: RawConfig, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, step) => (inner as RawConfig | undefined)?.[step], config);
}

/**
 * `base` with the searched settings of one trial. A setting that has no effect there keeps its base value.
 * @throws CellsamError ERR_CONFIG for values that do not go together
 */
export function trialConfig(base: ExperimentInput, parameters: readonly Parameter[], values: readonly ParameterValue[]) {
  const config = structuredClone({ ...base }) as RawConfig;
  for (const [i, { path }] of parameters.entries()) setAt(config, path, values[i]);
  const effective: Hyperparameters = {};
  for (const [i, { name, path }] of parameters.entries()) {
    if (!hasNoEffect(config, path)) effective[name] = values[i] as ParameterValue;
    else setAt(config, path, valueAt(base as RawConfig, path));
  }
  // Settings of complex augmentation in the base are errors in a trial without augmentation.
  if (config.augmentation === false) delete config.complexAugmentation;
  if (config.complexAugmentation !== true) delete config.augmentationVariants;
  return { config: new ExperimentConfig(config as ExperimentInput), hyperparameters: effective };
}

class Collector {
  readonly trials: Trial[] = [];
  #duplicates = 0;
  #invalid = 0;
  #problem: unknown;
  readonly #seen = new Set<string>();
  readonly #base: ExperimentInput;
  readonly #parameters: Parameter[];

  constructor(base: ExperimentInput, parameters: Parameter[]) {
    this.#base = new ExperimentConfig(base);
    this.#parameters = parameters;
  }

  add(values: readonly ParameterValue[]): void {
    let made: ReturnType<typeof trialConfig>;
    try {
      made = trialConfig(this.#base, this.#parameters, values);
    } catch (error) {
      if (!(error instanceof CellsamError) || error.code !== "ERR_CONFIG") throw error;
      this.#invalid += 1;
      this.#problem ??= error;
      return;
    }
    const key = JSON.stringify(made.config);
    if (this.#seen.has(key)) {
      this.#duplicates += 1;
      return;
    }
    this.#seen.add(key);
    this.trials.push({ trialId: this.trials.length + 1, ...made });
  }

  /** @throws the first problem when no combination is a valid configuration */
  finish(notes: string[] = []): TrialList {
    if (this.trials.length === 0 && this.#problem) throw this.#problem;
    const { trials } = this;
    const unused = this.#parameters.filter(({ name }) => trials.every(({ hyperparameters }) => !(name in hyperparameters)));
    for (const { name } of unused) notes.push(`${name} is searched but has no effect with this base configuration`);
    if (this.#duplicates > 0)
      notes.push(`${this.#duplicates} combinations were left out that give the same training as another one`);
    if (this.#invalid > 0)
      notes.push(`${this.#invalid} combinations are not valid and were left out, e.g. ${(this.#problem as Error).message}`);
    return { trials, notes };
  }
}

function gridValues(parameters: readonly Parameter[], index: number): ParameterValue[] {
  let rest = index;
  const values: ParameterValue[] = [];
  for (const { values: list } of parameters.toReversed()) {
    const choices = list as readonly ParameterValue[];
    values.unshift(choices[rest % choices.length] as ParameterValue);
    rest = Math.floor(rest / choices.length);
  }
  return values;
}

/** Number of combinations of all lists; Infinity with a range. */
export function gridSize(space: HyperparameterSpace): number {
  return parametersOf(space).reduce(
    (size, { values }) => size * (Array.isArray(values) ? values.length : Number.POSITIVE_INFINITY),
    1,
  );
}

/**
 * Every combination once; the last setting changes fastest.
 * @throws CellsamError ERR_SEARCH_SIZE when there are more than `maxTrials`; ERR_CONFIG with a range
 */
export function gridTrials(base: ExperimentInput, space: HyperparameterSpace, maxTrials: number): TrialList {
  const parameters = parametersOf(space);
  const drawn = parameters.find(({ values }) => !Array.isArray(values));
  if (drawn)
    throw new CellsamError("ERR_CONFIG", `${drawn.name} is a range, which has no grid; give a list, or use random search`);
  const size = gridSize(space);
  const refuse = (count: number) =>
    new CellsamError(
      "ERR_SEARCH_SIZE",
      `the grid has ${count} trials, more than maxTrials (${maxTrials}); shorten lists, use random search, or raise maxTrials if that is intended`,
      { detail: { trials: count, maxTrials } },
    );
  if (size > Math.max(maxTrials, listed)) throw refuse(size);
  const collector = new Collector(base, parameters);
  for (let i = 0; i < size; i++) collector.add(gridValues(parameters, i));
  const list = collector.finish();
  if (list.trials.length > maxTrials) throw refuse(list.trials.length);
  return list;
}

/**
 * `count` different trials, drawn independently and uniformly; fewer when the space has fewer. A larger count begins with the
 * trials of a smaller one, so a search can be continued with more trials.
 */
export function randomTrials(base: ExperimentInput, space: HyperparameterSpace, count: number, seed: number): TrialList {
  if (!Number.isInteger(count) || count < 1)
    throw new CellsamError("ERR_CONFIG", `nTrials must be an integer >= 1, not ${count}`);
  const parameters = parametersOf(space);
  const random = new Random(seed);
  const collector = new Collector(base, parameters);
  const size = gridSize(space);
  if (size <= listed) {
    for (const index of random.shuffle(Array.from({ length: size }, (_, i) => i))) {
      if (collector.trials.length === count) break;
      collector.add(gridValues(parameters, index));
    }
  } else {
    const most = 1000 + 100 * count;
    for (let i = 0; i < most && collector.trials.length < count; i++)
      collector.add(parameters.map(({ values }) => draw(random, values)));
  }
  const found = collector.trials.length;
  return collector.finish(found < count ? [`the space holds ${found} different trials, not ${count}`] : []);
}

function draw(random: Random, values: Parameter["values"]): ParameterValue {
  if (!("min" in values)) return values[random.integer(0, values.length - 1)] as ParameterValue;
  const { min, max, log, whole } = values;
  const drawn = log ? Math.exp(random.uniform(Math.log(min), Math.log(max))) : random.uniform(min, max + (whole ? 1 : 0));
  if (whole) return Math.min(max, log ? Math.round(drawn) : Math.floor(drawn));
  return Number(Math.min(max, Math.max(min, drawn)).toPrecision(6));
}
