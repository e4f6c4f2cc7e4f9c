/**
 * `node scripts/shipWeights.mjs output/cellsam-tiny`: turns the trained model of an experiment into the weights that the
 * package ships, in fp16. models/cellsam-tiny.md describes how the experiment was trained.
 */
import { root } from "./ready.mjs";
import { weightsProblems } from "./weightsCheck.mjs";

const [experiment] = process.argv.slice(2);
if (!experiment) {
  console.error("which experiment? node scripts/shipWeights.mjs output/cellsam-tiny");
  process.exit(2);
}
const { openSession } = await import("cellsam-train");
const { trainedConfig } = await import("../dist/predict/trained.js");
const { weightsFile } = await import("../dist/config/shippedWeights.js");

const { weights, size } = await trainedConfig(experiment);
const target = weightsFile(`cellsam-${size}`);
const session = await openSession({ size, device: "cpu" });
try {
  await session.load(weights);
  const { bytes, sha256, tensors } = await session.save(target, { format: "safetensors", dtype: "fp16" });
  console.log(`${target.slice(root.length + 1)}: ${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB, sha256 ${sha256}`);
} finally {
  await session.dispose();
}
const problems = weightsProblems(target);
for (const problem of problems) console.error(`${target} ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
