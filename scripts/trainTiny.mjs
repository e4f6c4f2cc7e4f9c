/**
 * `node scripts/trainTiny.mjs`: trains the shipped weights anew, from random numbers: four trainings of one thread, about three and a
 * half hours on one core. Then it writes models/cellsam-tiny.safetensors. Called again it goes on where it was stopped.
 * models/cellsam-tiny.md says which images data/dsb2018, data/extra and data/nuclei hold.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ready, root, run } from "./ready.mjs";

process.env.CELLSAM_LIBTORCH = ready();
const { generateSynthetic } = await import("cellsam-train");

if (!existsSync(join(root, "output", "synthetic-data"))) {
  await generateSynthetic({ directory: join(root, "output", "synthetic-data"), images: 160, size: 128, seed: 1 });
}
train("synthetic.yaml");
train("cellsam-tiny.yaml");
if (!existsSync(join(root, "data", "cellsam-tiny-more"))) run(process.execPath, ["scripts/tinyData.mjs", "data/nuclei"]);
train("cellsam-tiny-more.yaml");
const weights = "output/cellsam-tiny-more/models/fold_1/best_model_s2.pth";
train("cellsam-tiny-more.yaml", "--name", "cellsam-tiny-last", "--weights", weights, "--epochs1", "18", "--epochs2", "8");
run(process.execPath, ["scripts/shipWeights.mjs", "output/cellsam-tiny-last"]);

/** @param {string} config @param {...string} flags */
function train(config, ...flags) {
  run(process.execPath, [
    "dist/cli/main.js",
    "train",
    "--config",
    join("examples", config),
    "--threads",
    "1",
    "--resume",
    ...flags,
  ]);
}
