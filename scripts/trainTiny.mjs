/**
 * `node scripts/trainTiny.mjs`: trains the shipped weights anew, from random numbers: six trainings of one thread, about five and a
 * half hours on one core. Then it writes models/cellsam-tiny.safetensors. Called again it goes on where it was stopped.
 * models/cellsam-tiny.md says which images data/dsb2018, data/extra and data/nuclei hold.
 */
import { existsSync } from "node:fs";
import { join, parse } from "node:path";
import { ready, root, run } from "./ready.mjs";

process.env.CELLSAM_LIBTORCH = ready();
const { generateSynthetic } = await import("cellsam-train");

if (!existsSync(join(root, "output", "synthetic-data"))) {
  await generateSynthetic({ directory: join(root, "output", "synthetic-data"), images: 160, size: 128, seed: 1 });
}
train("synthetic.yaml");
train("cellsam-tiny.yaml");
if (!existsSync(join(root, "data", "cellsam-tiny-more"))) run(process.execPath, ["scripts/tinyData.mjs", "data/nuclei"]);
const more = "cellsam-tiny-more.yaml"; // docs/learning.md, "More images for the shipped weights"
const third = train(more);
const fourth = train(more, "--name", "cellsam-tiny-4", "--weights", third, "--epochs1", "18", "--epochs2", "8");
const strong = ["--set", "complex_augmentation=true", "--set", "stages=[1]"];
const fifth = train(more, "--name", "cellsam-tiny-5", "--weights", fourth, "--epochs1", "26", ...strong);
train(more, "--name", "cellsam-tiny-6", "--weights", fifth, "--epochs1", "9", "--lr1", "0.001", "--epochs2", "8");
run(process.execPath, ["scripts/shipWeights.mjs", "output/cellsam-tiny-6"]);

/**
 * Trains, and returns the weights of the last stage.
 * @param {string} config @param {...string} flags
 */
function train(config, ...flags) {
  const all = ["--config", join("examples", config), "--threads", "1", "--resume", ...flags];
  run(process.execPath, ["dist/cli/main.js", "train", ...all]);
  const name = flags[0] === "--name" ? flags[1] : parse(config).name;
  const stage = flags.includes("stages=[1]") ? 1 : 2;
  return `output/${name}/models/fold_1/best_model_s${stage}.pth`;
}
