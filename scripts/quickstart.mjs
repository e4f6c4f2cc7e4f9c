/**
 * `npm run quickstart`: makes the checkout ready, fine-tunes the shipped `cellsam-tiny` on the images of examples/tissue
 * through both stages, and prints scores before and after, and the paths of pictures and report. Arguments go to `cellsam
 * train`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ready, root, run } from "./ready.mjs";

process.env.CELLSAM_LIBTORCH = ready();
const flags = process.argv.slice(2);
if (!flags.includes("--resume")) flags.push("--overwrite");
run(process.execPath, ["dist/cli/main.js", "train", "--config", "examples/quickstart.yaml", ...flags, "--name", "quickstart"]);

const results = join(root, "output", "quickstart", "results");
const [{ preeval, evaluation, val_images }] = JSON.parse(readFileSync(join(results, "individual_results.json"), "utf8"));
const scores = {
  "F1, cells found at IoU 0.5": "f1",
  "AP at IoU 0.5": "ap50",
  "mean AP, IoU 0.5 to 0.95": "mean_ap",
  "masks alone: mean IoU with true boxes": "mean_prompt_iou",
};
/** @type {(name: string, ...values: string[]) => string} */
const row = (name, ...values) => [name.padEnd(40), ...values.map((value) => value.padStart(10))].join("");
const table = Object.entries(scores).map(([words, name]) => row(words, preeval[name].toFixed(3), evaluation[name].toFixed(3)));
const pictures = join(results, "fold_1", "visualizations");
console.log(`
${row(`on ${val_images} images that did not train`, "before", "after")}
${table.join("\n")}

Pictures  ${readdirSync(pictures).filter((name) => name.endsWith(".png")).length} in ${pictures} (truth green, prediction red)
Report    ${join(results, "report.html")}
Next      npx cellsam predict IMAGES --experiment output/quickstart --out predictions
          README.md shows how to train on your own images`);
