/** `cellsam bench`: how fast this machine runs the network, and how near that is to its fastest matrix product. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shippedNames, shippedSettings } from "../config/shippedWeights.js";
import { engineCommand } from "../engine/commands.js";
import { engineInfo, resolveDevice, resolvePrecision } from "../engine/device.js";
import { CellsamError } from "../errors.js";
import { checkWeights } from "../predict/model.js";
import { busyShare } from "../runtime/systemLoad.js";
import { describeMachine } from "./machine.js";
import { type Measured, type Measurer, measureNetwork, measureStages } from "./measure.js";
import { type BenchResult, type BenchRow, rowOrder } from "./result.js";
import { sample } from "./timing.js";
import { backbone, detectorHead, flops, type ModelSize, maskDecoder, neck, sum, times, trained, type Work } from "./work.js";

export interface BenchOptions {
  /** Default vit_b. */
  size?: string;
  /** Default auto. */
  device?: string;
  /** Default auto: the one that suits the device. */
  precision?: "auto" | "fp32" | "bf16";
  /** Default 0: all cores. */
  threads?: number;
  /** Images in a call, but for predictions. Default 1. */
  batchSize?: number;
  /** Default: those that come with the package, where they are of the size, else random ones. */
  weights?: string;
  /** Time for each measurement, as far as one call does not take longer. Default 5. */
  seconds?: number;
  /** Called with what is measured next. */
  onProgress?: (what: string) => void;
  warn?: (message: string) => void;
  signal?: AbortSignal;
}

/** Prompts of stage 2, and detections that become cells in a prediction. */
const cells = 64;

/** @throws CellsamError ERR_INVALID_ARGUMENT for an unknown size; ERR_FILE where there are no weights of the name; those of opening a session; the signal's reason */
export async function bench(options: BenchOptions = {}): Promise<BenchResult> {
  const { threads = 0, batchSize = 1, seconds = 5, onProgress, warn, signal } = options;
  const device = await resolveDevice(options.device ?? "auto", warn ?? (() => {}));
  const size = sizeCalled(options.size ?? "vit_b");
  const weights = options.weights ?? shippedNames.find((name) => shippedSettings(name).size === size.name) ?? null;
  checkWeights(weights);
  const precision = resolvePrecision(options.precision ?? "auto", device);
  const busy = busyShare();
  if (busy !== null && busy > 0.5)
    warn?.("other programs use more than half of this machine's processors: speeds will be too low");
  const folder = await mkdtemp(join(tmpdir(), "cellsam-bench-"));
  const measurer: Measurer = {
    model: { size: size.name, device, precision, threads },
    batchSize,
    cells,
    tileSize: Math.min(512, size.imageSize),
    weights,
    folder,
    signal,
    sample: (what, run) => {
      signal?.throwIfAborted();
      onProgress?.(what);
      return sample(run, seconds);
    },
  };
  try {
    const { peak, encoder } = await measureNetwork(measurer);
    const stages = await measureStages(measurer);
    const tflops = (2 * peak.side ** 3) / peak.seconds / 1e12;
    return {
      format: "cellsam-bench-1",
      ...describeMachine(engineInfo(), device, busy),
      settings: {
        size: size.name,
        weights: weights === null ? "random" : shippedNames.includes(weights) ? weights : "own",
        precision,
        threads: stages.threads,
        batchSize,
        cells,
        tileSize: measurer.tileSize,
      },
      peak: { tflops, side: peak.side },
      rows: rowsOf({ encoder, ...stages.measured }, size, tflops),
    };
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function sizeCalled(name: string): ModelSize {
  const sizes = engineCommand<ModelSize[]>("sizes");
  const found = sizes.find((size) => size.name === name);
  if (found) return found;
  const known = sizes.map((size) => size.name).join(", ");
  throw new CellsamError("ERR_INVALID_ARGUMENT", `there is no size ${name}: known are ${known}`);
}

function rowsOf(measured: Measured, size: ModelSize, peak: number): BenchRow[] {
  const works = worksOf(size);
  return rowOrder.map((name) => {
    const { images, seconds, calls } = measured[name];
    const gflop = flops(works[name]) / 1e9;
    const imagesPerSecond = images / seconds;
    return { name, images, calls, imagesPerSecond, gflop, shareOfPeak: (gflop * imagesPerSecond) / 1e3 / peak };
  });
}

/** What each row computes for an image. */
function worksOf(size: ModelSize): Record<BenchRow["name"], Work> {
  const image = backbone(size);
  const masks = times(cells, maskDecoder(size));
  const kept = sum(trained(neck(size), { weights: true }), trained(masks, { weights: false }));
  return {
    encoder: sum(image, neck(size)),
    stage1_step: trained(sum(image, detectorHead(size)), { weights: true }),
    stage2_step: sum(image, kept),
    stage2_step_kept: kept,
    predict: sum(image, detectorHead(size), image, neck(size), masks),
    click: maskDecoder(size),
  };
}
