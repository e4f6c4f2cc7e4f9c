/**
 * Translates configuration files of the Python module: keys that have another name or place here, and keys that had no effect.
 * `notice` is called for what is left out; a key in no table stays, and is refused like any unknown key.
 */
import { CellsamError } from "../errors.js";
import { camelCase, isPlain } from "../spelling.js";

type Raw = Record<string, unknown>;
type Notice = (message: string) => void;

/** Keys of a stage that are settings of the whole run here, with their names here. */
const stageToRun: Record<string, string> = {
  training_strategy: "strategy",
  batch_size: "batch_size",
  output_name: "output_name",
  output_dir: "output_dir",
  debug: "debug",
  preeval: "preeval",
  save_checkpoints: "save_checkpoints",
  save_visualizations: "save_visualizations",
  save_freq: "save_freq",
  log_freq: "log_freq",
  keep_best_only: "keep_best_only",
  keep_last_n: "keep_last_n",
  random_seed: "seed",
};

/** Keys of `dataset_config` and of `transform` that are settings of the run here. */
const datasetToRun: Record<string, string> = {
  img_path: "img_path",
  mask_path: "mask_path",
  do_augmentation: "augmentation",
  augmentation: "augmentation",
  complex_augmentation: "complex_augmentation",
  stain_transform: "stain_transform",
  rgb_transform: "rgb_transform",
  eosin: "eosin",
  dab: "dab",
  gamma: "gamma",
  normalize: "normalize",
  inversion: "inversion",
  only_nuclei: "only_nuclei",
  debug: "debug",
  device: "device",
  batch_size: "batch_size",
  random_seed: "seed",
};

const loader = "images are read and batched by the engine's own threads (`threads`)";
/** Keys without effect here, with the reason. */
const inert: Record<string, string> = {
  num_workers: loader,
  pin_memory: loader,
  shuffle: "training tiles are always shuffled by the seed, validation tiles never",
  num_classes: "the detector's weights have two class logits",
  normalize_inf: "`normalize` holds for training and prediction alike",
  data_root: "img_path and mask_path say where the files are",
  target_size: "images are cut into tiles (`tile_size`), never resized",
  image_extensions: "every readable format is taken",
  mask_extensions: "every readable format is taken",
  test: "`test_ratio` holds images out as a test",
  transform: "it holds no plain values",
};
/** Values of inert keys that agree with what happens anyway. */
const agrees = (value: unknown) => value === null || value === false;

const stainKeys = ["inversion", "eosin", "dab", "only_nuclei", "gamma"];
const stages = [2, 1] as const;

/** Whether a file has keys that only files of the Python module have. */
function isPythonFile(file: Raw): boolean {
  const stage = (key: string) => (isPlain(file[key]) ? Object.keys(file[key]) : []);
  const marks = ["epochs_s1", "epochs_s2", "epochs", "backbone_type", "training_strategy"];
  return "dataset_config" in file || [...stage("stage1_config"), ...stage("stage2_config")].some((key) => marks.includes(key));
}

/**
 * The content of a file with the keys of the Python module replaced by those of this package, in snake_case. Other files are
 * returned as they are.
 * @throws CellsamError ERR_CONFIG for what is not possible here
 */
export function fromPythonFile(content: Raw, notice: Notice): Raw {
  if (!isPythonFile(content)) return content;
  const { dataset_config: dataset, transform, ...rest } = content;
  const run: Raw = { ...rest };
  const give = (from: string, name: string, value: unknown) => {
    // The same setting may also be in the file under its name here, in either spelling.
    const given = [name, camelCase(name)].find((key) => Object.hasOwn(run, key));
    if (given === undefined) run[name] = value;
    else if (JSON.stringify(run[given]) !== JSON.stringify(value)) {
      notice(`${from} is ${JSON.stringify(value)}, but ${given} is ${JSON.stringify(run[given])}, which is used`);
    }
  };
  const leave = (from: string, key: string, value: unknown) => {
    if (!agrees(value)) notice(`${from} is left out: ${inert[key]}`);
  };
  // The command of the Python module takes the strategy from stage 2, so that stage is translated first.
  for (const stage of stages) {
    const group = `stage${stage}_config`;
    if (isPlain(run[group])) run[group] = fromStage(stage, run[group], { give, leave, notice });
  }
  for (const [group, settings] of Object.entries({ dataset_config: dataset, transform })) {
    if (settings === undefined || settings === null) continue;
    if (!isPlain(settings)) leave(group, "transform", settings);
    else fromDataset(group, settings, { give, leave, notice });
  }
  for (const key of ["test", "normalize_inf"]) {
    if (Object.hasOwn(run, key)) leave(key, key, run[key]);
    delete run[key];
  }
  if (run.strategy === "k_fold_cross_val") run.strategy = "k_fold";
  withoutEffect(run, notice);
  severalDatasets(run, notice);
  return run;
}

/** What happens to a key: `give` makes it a setting of the run, `leave` reports that it has no effect. */
interface Actions {
  give: (from: string, name: string, value: unknown) => void;
  leave: (from: string, key: string, value: unknown) => void;
  notice: Notice;
}

function fromStage(stage: 1 | 2, settings: Raw, { give, leave, notice }: Actions): Raw {
  const group = `stage${stage}_config`;
  const { epochs, epochs_s1, epochs_s2, ...others } = settings;
  const result: Raw = {};
  const own = stage === 1 ? epochs_s1 : epochs_s2;
  const total = own ?? epochs;
  if (total !== undefined && others.total_epochs === undefined) result.total_epochs = total;
  if (own !== undefined && epochs !== undefined && epochs !== own) {
    notice(`${group}.epochs is left out: epochs_s${stage} is the length of the stage`);
  }
  if ((stage === 1 ? epochs_s2 : epochs_s1) !== undefined) {
    notice(`${group}.epochs_s${3 - stage} is left out: the other stage has its own`);
  }
  for (const [key, value] of Object.entries(others)) {
    const from = `${group}.${key}`;
    const name = stageToRun[key];
    if (name) give(from, name, key === "training_strategy" && value === "k_fold_cross_val" ? "k_fold" : value);
    else if (key === "num_classes" && value !== 2) {
      throw new CellsamError("ERR_CONFIG", `${from} is ${JSON.stringify(value)}: ${inert.num_classes}, so it must be 2`);
    } else if (key in inert) leave(from, key, key === "num_classes" ? null : value);
    else if (key === "backbone_type") result.stage1_type = value;
    else if (key === "grad_clip" && typeof value === "number" && value < 0) result.grad_clip = 0;
    else if (key === "scheduler" && typeof others.use_scheduler === "boolean") {
      notice(`${from} is left out: use_scheduler decides`);
    } else result[key] = value;
  }
  const weights = ["focal_loss_weight", "dice_loss_weight", "boundary_loss_weight"].filter((key) => (result[key] ?? 1) !== 1);
  if (stage === 2 && weights.some((key) => result[key] !== 0)) {
    notice(`${group}: ${weights.join(", ")} acted squared in Python; here a weight acts as written`);
  }
  return result;
}

function fromDataset(group: string, settings: Raw, { give, leave, notice }: Actions): void {
  for (const [key, value] of Object.entries(settings)) {
    const from = `${group}.${key}`;
    const name = datasetToRun[key];
    if (name && (value !== null || !/_path$/.test(key))) give(from, name, value);
    else if (name) continue;
    else if (/^(train|val|test)_split$/.test(key)) {
      notice(
        `${from} is left out, as it was in Python: val_ratio and test_ratio say which share validates and which is a test`,
      );
    } else if (key in inert) leave(from, key, value);
    else throw new CellsamError("ERR_CONFIG", `${from}: unknown key`, { detail: { key: from } });
  }
}

/** Removes settings that have no effect in Python, and whose combination is an error here. */
function withoutEffect(run: Raw, notice: Notice): void {
  if (run.stain_transform !== true) {
    const stains = stainKeys.filter((key) => Object.hasOwn(run, key));
    for (const key of stains) delete run[key];
    if (stains.length > 0) notice(`${stains.join(", ")} left out: without stain_transform they have no effect`);
  }
  if (run.complex_augmentation === true && run.augmentation !== true) {
    delete run.complex_augmentation;
    notice("complex_augmentation is left out: without augmentation it has no effect");
  }
}

/** `additional_datasets` is used only with `multiple_datasets`, as the Python module means it. */
function severalDatasets(run: Raw, notice: Notice): void {
  const { multiple_datasets, additional_datasets } = run;
  const more = Array.isArray(additional_datasets) && additional_datasets.length > 0;
  if (multiple_datasets === true && !more) {
    throw new CellsamError("ERR_CONFIG", "multiple_datasets is true, but additional_datasets lists none");
  }
  if (multiple_datasets === false && more) {
    notice("additional_datasets is left out: multiple_datasets is false");
    delete run.additional_datasets;
  }
  delete run.multiple_datasets;
}
