/** Writes pictures of a training: predictions beside the truth, and curves of the losses. */
import { join } from "node:path";
import { writeAtomic } from "../files/writeAtomic.js";
import type { Canvas } from "./canvas.js";
import type { Series } from "./charts.js";
import type { Boxes, VisualImage, VisualLabels } from "./trainingPictures.js";

/** The code that draws is loaded by the first picture. */
const drawing = () => import("./trainingPictures.js");

export interface PictureOptions {
  /** Counted from 1; without it the picture is not in a folder of a fold. */
  fold?: number;
  /** Number of the batch within the epoch, from 0; part of the file name. Default 0. */
  batchIdx?: number;
  /** Default "train". */
  phase?: string;
}

export interface TrainingVisualizerOptions {
  outputDir: string;
  /** When false, nothing is written and every method resolves to undefined. Default true. */
  saveEnabled?: boolean;
}

/** Draws predictions and curves of a training as PNG files below `outputDir`. */
export class TrainingVisualizer {
  readonly outputDir: string;
  readonly saveEnabled: boolean;

  constructor({ outputDir, saveEnabled = true }: TrainingVisualizerOptions) {
    this.outputDir = outputDir;
    this.saveEnabled = saveEnabled;
  }

  /**
   * Draws the image with true boxes (green) and predicted ones (red), both [n,4] as cx, cy, w, h relative to the image's sides,
   * with their numbers below. Resolves to the path {phase}/stage1_boxes/epoch_{epoch}_batch_{batchIdx}.png below fold_{fold}/
   * or, without a fold, below outputDir.
   */
  async visualizeStage1Predictions(
    image: VisualImage,
    predBoxes: Boxes,
    gtBoxes: Boxes,
    epoch: number,
    options: PictureOptions = {},
  ): Promise<string | undefined> {
    if (!this.saveEnabled) return undefined;
    const { boxPicture } = await drawing();
    const name = `epoch_${epoch}_batch_${options.batchIdx ?? 0}.png`;
    return this.#write(await boxPicture(image, predBoxes, gtBoxes), options, "stage1_boxes", name);
  }

  /**
   * Draws three panels: the image with the prompt boxes [n,4] (x0, y0, x1, y1 in pixels, cyan), the true cells and the
   * predicted cells. Resolves to the path.
   */
  async visualizeStage2Masks(
    image: VisualImage,
    promptBoxes: Boxes,
    predMasks: VisualLabels,
    gtMasks: VisualLabels,
    epoch: number,
    options: PictureOptions & { imageIdx?: number } = {},
  ): Promise<string | undefined> {
    if (!this.saveEnabled) return undefined;
    const { maskPicture } = await drawing();
    const name = `epoch_${epoch}_batch_${options.batchIdx ?? 0}_img_${options.imageIdx ?? 0}.png`;
    return this.#write(await maskPicture(image, promptBoxes, predMasks, gtMasks), options, "stage2_masks", name);
  }

  /** Draws the image, and the image with the cells of a label map, as outputDir/{filename}. Resolves to the path. */
  async visualizeSingleMask(image: VisualImage, mask: VisualLabels, filename = "mask.png"): Promise<string | undefined> {
    if (!this.saveEnabled) return undefined;
    const { singleMaskPicture, writeCanvas } = await drawing();
    const path = join(this.outputDir, filename);
    await writeCanvas(path, singleMaskPicture(image, mask));
    return path;
  }

  /** Draws losses over epochs, with a dot at the lowest validation loss. Resolves to the path. */
  async plotTrainingCurves(
    train: Series,
    val: Series | undefined,
    title = "Training curve",
    filename = "training_curve.png",
  ): Promise<string | undefined> {
    if (!this.saveEnabled) return undefined;
    const { trainingCurves } = await drawing();
    return this.#save(filename, await trainingCurves(train, val, title));
  }

  /** Draws the parts of a loss over epochs on a logarithmic axis. Resolves to the path. */
  async plotLossComponents(
    components: Readonly<Record<string, Series>>,
    title = "Loss components",
    filename = "loss_components.png",
  ): Promise<string | undefined> {
    if (!this.saveEnabled) return undefined;
    const { lossComponents } = await drawing();
    return this.#save(filename, await lossComponents(components, title));
  }

  async #save(filename: string, png: Uint8Array): Promise<string> {
    const path = join(this.outputDir, filename);
    await writeAtomic(path, png);
    return path;
  }

  async #write(canvas: Canvas, { fold, phase = "train" }: PictureOptions, kind: string, name: string): Promise<string> {
    const { writeCanvas } = await drawing();
    const path = join(this.outputDir, ...(fold === undefined ? [] : [`fold_${fold}`]), phase, kind, name);
    await writeCanvas(path, canvas);
    return path;
  }
}
