/** The commands that are run with faults, on drawn images of 64 by 64 pixels. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const { generateSynthetic } = await import("../../dist/data/synthetic.js");

/**
 * Makes images and configurations in `folder` and returns the scenarios.
 * @param {string} folder
 * @returns {Promise<import("./faults.mjs").Scenario[]>}
 */
export async function scenarios(folder) {
  const { imgPath, maskPath } = await generateSynthetic({ directory: join(folder, "data"), images: 4, size: 64, seed: 5 });
  const out = join(folder, "out");
  const stage = "{total_epochs: 2, learning_rate: 1.0e-3}";
  const config = join(folder, "config.yaml");
  const common = [
    `img_path: ${imgPath}`,
    `mask_path: ${maskPath}`,
    `output_dir: ${out}`,
    "output_name: run",
    "size: tiny\ndevice: cpu\nthreads: 1\ntile_size: 64\nsave_visualizations: false\ntensorboard: false",
    `stage1_config: ${stage}\nstage2_config: ${stage}`,
  ];
  writeFileSync(config, [...common, "strategy: train_val_split\nval_ratio: 0.25"].join("\n"));
  const folds = join(folder, "folds.yaml");
  writeFileSync(folds, [...common, "strategy: k_fold\nk_folds: 2\nstages: [2]"].join("\n"));
  const space = join(folder, "space.yaml");
  writeFileSync(space, "stage2_learning_rates: [1.0e-3, 1.0e-4]\n");
  const results = /^run\/(models\/.*\.pth|metrics\/.*|results\/.*\.json)$/;
  const search = [
    "search",
    "-c",
    config,
    "--space",
    space,
    "--grid",
    "--search-dir",
    out,
    "--metric",
    "evaluation.f1",
    "--json",
  ];
  const weights = ["--weights", "cellsam-tiny", "--device", "cpu", "--threads", "1"];
  const predict = ["predict", imgPath, ...weights, "--out", join(out, "labels")];
  const evaluate = ["evaluate", "--images", imgPath, "--masks", maskPath, ...weights, "--out", join(out, "scores.json")];
  return [
    { name: "train", out, first: ["train", "-c", config], again: ["train", "-c", config, "--resume"], outcome: results },
    { name: "folds", out, first: ["train", "-c", folds], again: ["train", "-c", folds, "--resume"], outcome: results },
    {
      name: "search",
      out,
      first: search,
      again: [...search, "--resume"],
      outcome: /^[^/]*\/models\/.*\.pth$|^best_configuration\.json$/,
    },
    { name: "predict", out, first: predict, again: [...predict, "--overwrite"], outcome: /^labels\// },
    { name: "evaluate", out, first: evaluate, again: evaluate, outcome: /^scores\.json$/ },
  ];
}
