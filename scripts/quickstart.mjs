/**
 * `npm run quickstart`: makes the checkout ready, fine-tunes the shipped `cellsam-tiny` on the images of examples/cytology
 * through both stages, which ends with the scores before and after, and prints where the pictures are. Arguments go to
 * `cellsam train`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ready, root, run } from "./ready.mjs";

process.env.CELLSAM_LIBTORCH = ready();
const flags = process.argv.slice(2);
if (!flags.includes("--resume")) flags.push("--overwrite");
run(process.execPath, ["dist/cli/main.js", "train", "--config", "examples/quickstart.yaml", ...flags, "--name", "quickstart"]);

const results = join(root, "output", "quickstart", "results");
const pictures = join(results, "fold_1", "visualizations");
console.log(`
Pictures ${readdirSync(pictures).filter((name) => name.endsWith(".png")).length} in ${pictures} (truth green, prediction red)
         README.md shows how to train on your own images`);
