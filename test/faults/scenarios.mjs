/** The commands that are run with faults, on drawn images of 64 by 64 pixels. */
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cellsam } from "./cellsam.mjs";
import { reset } from "./scenario.mjs";

const { generateSynthetic } = await import("../../dist/data/synthetic.js");

/** The smallest network that can be built. */
const size = {
  ...{ image_size: 64, patch: 16, embed_dim: 32, depth: 1, heads: 2, prompt_dim: 32, iou_depth: 2, iou_hidden: 32 },
  ...{ decoder_depth: 1, decoder_heads: 2, decoder_mlp: 32 },
  ...{ detector_dim: 32, detector_heads: 2, detector_ffn: 32, encoder_layers: 1, decoder_layers: 1, num_queries: 16 },
};

/**
 * Makes images and configurations in `folder`, and runs to go on from when they are asked for.
 * @param {string} folder
 */
export async function scenarios(folder) {
  const { imgPath, maskPath } = await generateSynthetic({ directory: join(folder, "data"), images: 2, size: 64, seed: 5 });
  const out = join(folder, "out");
  const cellsam = new Cellsam(folder, out);
  const config = (/** @type {string} */ name, /** @type {object} */ more) => {
    const path = join(folder, `${name}.json`);
    const stage = { learning_rate: 1e-3, total_epochs: 1 };
    const common = { img_path: imgPath, mask_path: maskPath, output_dir: out, output_name: "run", size: "tiny" };
    const small = { size_overrides: size, device: "cpu", threads: 1, tile_size: 64, find_duplicates: false };
    const quick = { save_visualizations: false, tensorboard: false, stage1_config: stage, stage2_config: stage };
    writeFileSync(path, JSON.stringify({ ...common, ...small, ...quick, ...more }));
    return path;
  };
  const single = { strategy: "train_val_split", val_ratio: 0.5 };
  const train = ["train", "-c", config("train", { ...single, stage1_config: { learning_rate: 1e-3, total_epochs: 2 } })];
  const folds = ["train", "-c", config("folds", { strategy: "k_fold", k_folds: 2, stages: [2] })];
  const space = join(folder, "space.yaml");
  writeFileSync(space, "stage2_learning_rates: [1.0e-3, 1.0e-4]\n");
  const trial = config("trial", { ...single, stages: [2] });
  const grid = ["--space", space, "--grid", "--search-dir", out, "--metric", "evaluation.f1", "--json"];
  const search = ["search", "-c", trial, ...grid];
  const weights = ["--weights", "cellsam-tiny", "--device", "cpu", "--threads", "1"];
  const predict = ["predict", imgPath, "--out", join(out, "labels"), "--overlay"];
  const evaluate = ["evaluate", "--images", imgPath, "--masks", maskPath, "--out", join(out, "scores.json")];
  const results = /^run\/(models\/.*\.pth|metrics\/.*|results\/.*\.json)$/;
  const trials = /^[^/]*\/models\/.*\.pth$|^best_configuration\.json$/;
  const labels = /^labels\/(?!scores\.partial)/;
  const scores = /^scores\.json$/;
  const resumed = (/** @type {string[]} */ command) => [...command, "--resume"];

  /** Keeps what `command` leaves when it is killed after this share of its operations. @param {string} name @param {string[]} command */
  const left = async (name, command, share = 1) => {
    const before = join(folder, name);
    if (existsSync(before)) return before;
    const scenario = { name, out, first: [], again: [], outcome: results };
    reset(scenario);
    await cellsam.run(command);
    if (share < 1) {
      const at = Math.round(share * cellsam.operations);
      reset(scenario);
      await cellsam.run(command, { mode: "kill", at });
    }
    cpSync(out, before, { recursive: true, preserveTimestamps: true });
    return before;
  };

  const onExperiment = ["--experiment", join(out, "run"), "--device", "cpu", "--threads", "1"];
  /** Made when they are asked for. @type {Record<string, () => Promise<import("./scenario.mjs").Scenario>>} */
  const faults = {
    train: async () => ({ name: "train", out, first: train, again: resumed(train), outcome: results }),
    folds: async () => ({ name: "folds", out, first: folds, again: resumed(folds), outcome: results }),
    search: async () => ({ name: "search", out, first: search, again: resumed(search), outcome: trials }),
    predict: async () => {
      const first = [...predict, ...weights];
      return { name: "predict", out, first, again: [...first, "--skip-existing"], outcome: labels };
    },
    evaluate: async () => {
      const first = [...evaluate, ...weights];
      return { name: "evaluate", out, first, again: [...first, "--overwrite"], outcome: scores };
    },
    resume: async () => {
      const before = await left("half", train, 0.6);
      return { name: "resume", out, before, first: resumed(train), again: resumed(train), outcome: results };
    },
  };
  const after = (
    /** @type {string} */ name,
    /** @type {string} */ before,
    /** @type {string[]} */ again,
    outcome = results,
  ) => {
    return { name, out, before, first: [], again, outcome };
  };
  /** Commands on files that are damaged. @type {Record<string, () => Promise<import("./scenario.mjs").Scenario>>} */
  const flips = {
    "half-run": async () => after("resume of half a run", await left("half", train, 0.6), resumed(train)),
    "half-folds": async () => after("resume of half the folds", await left("half-folds", folds, 0.8), resumed(folds)),
    "half-search": async () => {
      const half = after("resume of half a search", await left("half-search", search, 0.6), resumed(search), trials);
      return { ...half, journal: "trials.jsonl" };
    },
    "whole-run": async () => after("resume of a whole run", await left("whole", train), resumed(train)),
    "whole-predict": async () =>
      after("prediction by a whole run", await left("whole", train), [...predict, ...onExperiment], labels),
    "whole-evaluate": async () =>
      after("evaluation of a whole run", await left("whole", train), [...evaluate, ...onExperiment], scores),
  };
  return { cellsam, faults, flips };
}
