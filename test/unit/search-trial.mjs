// A trial's process for search tests: its result follows from its configuration alone. The output name of the base says how it behaves.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** @import { ExperimentConfig } from "../../lib/config/experiment.js" */
/** @import { FoldRecord } from "../../lib/search/metric.js" */
/** @import { Answer, Order } from "../../lib/pool/messages.js" */
/** @import { TrialReport } from "../../lib/search/messages.js" */

let stopped = false;
/** @type {(message: Answer<TrialReport, FoldRecord[]>) => Promise<void>} */
const send = (message) => new Promise((done) => process.stdout.write(`${JSON.stringify(message)}\n`, () => done()));
/** @type {(message: TrialReport) => Promise<void>} */
const report = (message) => send({ type: "report", report: message });
process.stdout.on("error", () => undefined);
process.on("SIGINT", () => undefined);
const lines = createInterface({ input: process.stdin });
lines.on("close", () => {
  stopped = true;
});
lines.on("line", async (line) => {
  /** @type {Order<ExperimentConfig>} */
  const order = JSON.parse(line);
  if (order.type === "stop") {
    stopped = true;
    return;
  }
  const config = order.task;
  const root = join(config.outputDir, config.outputName);
  const saved = join(root, "epoch");
  mkdirSync(root, { recursive: true });
  const behaviour = config.outputName.split("_trial_")[0];
  const id = Number(config.outputName.split("_trial_")[1]);
  writeFileSync(join(root, "config.json"), JSON.stringify(config));
  const epochs = config.stage1Config.totalEpochs;
  const loss = (/** @type {number} */ epoch) => 1 / epoch + Math.abs(Math.log10(config.stage1Config.learningRate) + 3);
  await report({ type: "training" });
  let epoch = existsSync(saved) ? Number(readFileSync(saved, "utf8")) : 0;
  while (epoch < epochs) {
    await new Promise((next) => setTimeout(next, behaviour === "slow" ? 40 : 1));
    if (stopped) {
      await send({ type: "stopped" });
      process.exit(0);
    }
    epoch += 1;
    writeFileSync(saved, String(epoch));
    if (behaviour === "crash" && id === 2 && !existsSync(join(config.outputDir, "sound"))) process.kill(process.pid, "SIGKILL");
    await report({ type: "epoch", fold: 1, stage: 1, epoch, epochs, loss: loss(epoch) });
  }
  const sound = existsSync(join(config.outputDir, "sound"));
  const failed = behaviour === "broken" || (behaviour === "some" && id === 1 && !sound);
  const full = { code: /** @type {const} */ ("ERR_FILE"), message: "run.json could not be written", system: "ENOSPC" };
  if (behaviour === "space" && id === 1 && !sound) await send({ type: "failed", error: full });
  else if (behaviour === "space" && id === 2 && !sound) await send({ type: "done", result: [{ fold: 1, error: full }] });
  else if (failed) await send({ type: "failed", error: { code: "ERR_DATASET", message: "no images" } });
  else {
    const f1 = behaviour === "nan" && id === 1 ? null : behaviour === "tie" ? 0.5 : 1 / (1 + loss(epochs));
    await send({ type: "done", result: [{ fold: 1, best_f1: { f1 }, stage1: { best_loss: loss(epochs) } }] });
  }
  process.exit(0);
});
