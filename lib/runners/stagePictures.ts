/** The curves of a finished stage as PNG: its loss, and the parts of it. */
import { join } from "node:path";
import type { StageNumber } from "../config/stageOptions.js";
import type { MetricsFile } from "../monitor/metricsTracker.js";
import { TrainingVisualizer } from "../report/trainingVisualizer.js";
import type { FoldContext } from "./foldContext.js";

/** Writes stage{n}_training_curve.png and stage{n}_loss_components.png into the fold's visualizations. A picture that fails is a warning. */
export async function drawCurves(
  { config, tree, fold, warn }: Pick<FoldContext, "config" | "tree" | "fold" | "warn">,
  stage: StageNumber,
  history: MetricsFile["history"],
): Promise<void> {
  if (!config.saveVisualizations) return;
  const visualizer = new TrainingVisualizer({ outputDir: join(tree.visualizations(fold)) });
  const name = `stage ${stage}, fold ${fold}`;
  const { train = {}, val } = history;
  const { total_loss: total = [], ...parts } = train;
  try {
    await visualizer.plotTrainingCurves(total, val?.total_loss, `Loss of ${name}`, `stage${stage}_training_curve.png`);
    const title = `Parts of the training loss, ${name}`;
    await visualizer.plotLossComponents(parts, title, `stage${stage}_loss_components.png`);
  } catch (error) {
    warn(`the curves of ${name} were not drawn: ${(error as Error).message}`);
  }
}
