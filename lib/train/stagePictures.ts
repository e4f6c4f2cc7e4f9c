/** Draws PNG pictures of a stage: predictions after an epoch and, at its end, the curves of the loss and its parts. */
import { predictOptions } from "../config/inference.js";
import { type StageNumber, stageConfig } from "../config/stageOptions.js";
import { asksForPictures } from "../config/visual.js";
import { fullestCrop } from "../data/crop.js";
import { pairImage, pairLabels } from "../data/pair.js";
import type { MetricsFile } from "../monitor/metricsTracker.js";
import { boxesOf } from "../report/canvas.js";
import { type PictureOptions, TrainingVisualizer } from "../report/trainingVisualizer.js";
import type { FoldContext } from "./context.js";

/**
 * Writes stage{n}_training_curve.png and stage{n}_loss_components.png into the fold's visualizations. A picture that fails is
 * only a warning.
 */
export async function drawCurves(
  { config, tree, fold, warn }: Pick<FoldContext, "config" | "tree" | "fold" | "warn">,
  stage: StageNumber,
  history: MetricsFile["history"],
): Promise<void> {
  if (!config.saveVisualizations) return;
  const visualizer = new TrainingVisualizer({ outputDir: tree.visualizations(fold) });
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

/**
 * After an epoch, draws what the stage predicts for the first images of the fold, of each at most one tile, the one with the
 * most cells. Stage 1 draws boxes above the detection threshold and the true ones, stage 2 the masks of the true boxes. Only
 * with `debug`, in the epochs that the settings of the stage choose. The pictures are in {val|train}/; "batch" in their names
 * counts the pictures of the epoch. The training is not changed.
 *
 * @throws the signal's reason when it fires; a picture that fails is only a warning
 */
export async function drawEpoch(context: FoldContext, stage: StageNumber, epoch: number): Promise<void> {
  const { config, tree, fold, images, valTiles, warn, signal } = context;
  const settings = stageConfig(config, stage);
  if (!config.debug || !config.saveVisualizations || !asksForPictures(settings, epoch)) return;
  const visualizer = new TrainingVisualizer({ outputDir: tree.visualizations(fold) });
  const phase = valTiles.length > 0 ? "val" : "train";
  for (const [batchIdx, pair] of images.slice(0, settings.maxVisualizationsPerEpoch).entries()) {
    signal?.throwIfAborted();
    try {
      const shown = fullestCrop(await pairImage(pair, config), await pairLabels(pair, config), config.tileSize);
      const draw = stage === 1 ? drawStage1 : drawStage2;
      await draw(visualizer, context, shown, epoch, { phase, batchIdx });
    } catch (error) {
      signal?.throwIfAborted();
      warn(`stage ${stage}, epoch ${epoch}: ${pair.source} was not drawn: ${(error as Error).message}`);
    }
  }
}

type Draw = (
  visualizer: TrainingVisualizer,
  context: FoldContext,
  shown: ReturnType<typeof fullestCrop>,
  epoch: number,
  options: PictureOptions,
) => Promise<unknown>;

const drawStage1: Draw = async (visualizer, { session, config, signal }, { image, labels }, epoch, options) => {
  // All boxes of the detector, whatever the quality of their masks.
  const all = { iouThreshold: 0, floor: 1, maxCandidates: 0, tileSize: 0 };
  const { boxes } = await session.candidates({ image, ...predictOptions(config), ...all, signal });
  const predicted = Array.from({ length: boxes.data.length / 4 }, (_, i) => [...boxes.data.subarray(4 * i, 4 * i + 4)]);
  const [height, width] = labels.shape;
  const shares = ([x0 = 0, y0 = 0, x1 = 0, y1 = 0]: readonly number[]) => [
    (x0 + x1) / 2 / width,
    (y0 + y1) / 2 / height,
    (x1 - x0) / width,
    (y1 - y0) / height,
  ];
  await visualizer.visualizeStage1Predictions(image, predicted.map(shares), boxesOf(labels).map(shares), epoch, options);
};

const drawStage2: Draw = async (visualizer, { session, config, signal }, { image, labels }, epoch, options) => {
  const prompts = boxesOf(labels);
  const boxes = { data: Float64Array.from(prompts.flat()), shape: [prompts.length, 4] };
  // Without a cell there is nothing to prompt with, and nothing to predict.
  const { labels: predicted } =
    prompts.length === 0
      ? { labels: { data: new Int32Array(labels.data.length), shape: [...labels.shape] } }
      : await session.predict({ image, boxes, ...predictOptions(config), tileSize: 0, signal });
  await visualizer.visualizeStage2Masks(image, prompts, predicted, labels, epoch, options);
};
