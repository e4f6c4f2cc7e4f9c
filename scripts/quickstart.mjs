/**
 * `npm run quickstart`: makes the checkout ready, draws a small data set of synthetic cells, trains `tiny` from scratch through
 * both stages, evaluates it, and says where pictures and results are. Arguments go to `cellsam train`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ready, root, run } from "./ready.mjs";

process.env.CELLSAM_LIBTORCH = ready();
const { generateSynthetic } = await import("cellsam-train");
const output = join(root, "output");
await generateSynthetic({ directory: join(output, "quickstart-data"), images: 160, size: 128, seed: 1 });

const flags = process.argv.slice(2);
if (!flags.includes("--resume")) flags.push("--overwrite");
run(process.execPath, ["dist/cli/main.js", "train", "--config", "examples/quickstart.yaml", ...flags, "--name", "quickstart"]);

const results = join(output, "quickstart", "results");
const [result] = JSON.parse(readFileSync(join(results, "individual_results.json"), "utf8"));
const fell = (stage) => {
  const losses = stage.val_history.total_loss;
  return `${losses[0].toFixed(3)} -> ${Math.min(...losses).toFixed(3)}`;
};
const pictures = join(results, "fold_1", "visualizations");
console.log(`
Validation loss   boxes ${fell(result.stage1)}, masks ${fell(result.stage2)}
Masks             mean IoU with true boxes as prompts: ${result.evaluation.mean_prompt_iou.toFixed(3)}
Cells             AP at IoU 0.5, found and outlined:   ${result.evaluation.ap50.toFixed(3)}
Pictures          ${readdirSync(pictures).filter((name) => name.endsWith(".png")).length} in ${pictures} (truth green, prediction red)
Report            ${join(results, "report.html")}
Next              npx cellsam predict --help; README.md shows how to train on your own images`);
