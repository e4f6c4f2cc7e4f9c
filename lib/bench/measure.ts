/** What is measured: a matrix product, the image encoder, steps of both stages, a prediction, and a click. */
import { join } from "node:path";
import { weightsFile } from "../config/shippedWeights.js";
import { CommandSession } from "../engine/commandSession.js";
import { toBorder } from "../engine/names.js";
import { openNative } from "../engine/native.js";
import { openSession, type Session, type SessionOptions } from "../engine/session.js";
import { trainedPrompts } from "../predict/prompts.js";
import { packageVersion } from "../version.js";
import type { BenchRow } from "./result.js";
import { type DrawnTile, drawTile, storeTile } from "./tile.js";
import type { Sample } from "./timing.js";

export interface Measurer {
  model: Pick<SessionOptions, "device" | "precision" | "threads"> & { size: string };
  batchSize: number;
  /** In the image. */
  cells: number;
  /** Side of the image. */
  tileSize: number;
  weights: string | null;
  /** For tiles and features. */
  folder: string;
  signal: AbortSignal | undefined;
  sample: (what: string, run: (repeats: number) => Promise<number>) => Promise<Sample>;
}

/** Times of calls with so many images. */
export type Measured = Record<BenchRow["name"], Sample & { images: number }>;

/** Sides of matrices: the first is taken whose product takes 20 ms, as larger ones are no faster, or the largest. */
const sides = { least: 1024, most: 8192 };

/** Commands that only compute. */
class Network extends CommandSession {
  static async open(model: object): Promise<Network> {
    return new Network(await openNative({ kind: "model", ...toBorder(model) }));
  }

  encode(args: { batchSize: number; repeats: number }, signal?: AbortSignal): Promise<unknown> {
    return this.command("encode", args, { signal });
  }

  multiply(args: { side: number; repeats: number }, signal?: AbortSignal): Promise<unknown> {
    return this.command("multiply", args, { signal });
  }
}

/** The fastest product of two matrices, and the image encoder on a batch. */
export async function measureNetwork({
  model,
  batchSize,
  signal,
  sample,
}: Measurer): Promise<{ peak: { side: number; seconds: number }; encoder: Measured["encoder"] }> {
  const network = await Network.open(model);
  try {
    const multiply = (side: number) => (repeats: number) => timed(network.multiply({ side, repeats }, signal));
    const second = async (side: number) => {
      await multiply(side)(1); // sets things up
      return multiply(side)(1);
    };
    let side = sides.least;
    while (side < sides.most && (await second(side)) < 0.02) side *= 2;
    const product = await sample("a matrix product", multiply(side));
    const encoder = await sample("image encoder", (repeats) => timed(network.encode({ batchSize, repeats }, signal)));
    return { peak: { side, seconds: product.least }, encoder: { ...encoder, images: batchSize } };
  } finally {
    await network.dispose();
  }
}

/** Steps of both stages on tiles of the drawn image, its prediction, and clicks on it. `threads`: that the steps computed with. */
export async function measureStages(measurer: Measurer): Promise<{ measured: Omit<Measured, "encoder">; threads: number }> {
  const { model, weights, folder, tileSize, cells, sample } = measurer;
  const tile = drawTile(tileSize, cells);
  const store = join(folder, "tile");
  await storeTile(store, tile);
  const session = await openSession(model);
  try {
    if (weights !== null) await session.load(weightsFile(weights));
    const epochs = new Epochs(session, store, measurer);
    await epochs.begin(1);
    const stage1 = await epochs.sample("a step of stage 1");
    await epochs.begin(2);
    const stage2 = await epochs.sample("a step of stage 2");
    await epochs.begin(2, { featureCacheDir: join(folder, "features"), featureCacheVersion: packageVersion });
    const kept = await epochs.sample("a step of stage 2 on kept features");
    await session.endStage();
    const predicted = await sample("a prediction", (repeats) => predict(session, tile, repeats, measurer));
    const clicked = await sampleClicks(session, tile, measurer);
    return {
      measured: {
        stage1_step: stage1,
        stage2_step: stage2,
        stage2_step_kept: kept,
        predict: { ...predicted, images: 1 },
        click: { ...clicked, images: 1 },
      },
      threads: epochs.threads,
    };
  } finally {
    await session.dispose();
  }
}

/** Epochs of a stage on the one tile. */
class Epochs {
  threads = 0;
  #epoch = 0;

  constructor(
    readonly session: Session,
    readonly store: string,
    readonly measurer: Measurer,
  ) {}

  async begin(stage: 1 | 2, options: object = {}): Promise<void> {
    this.#epoch = 0;
    await this.session.beginStage({ stage, epochs: 1000, stepsPerEpoch: 1000, ...options });
  }

  async sample(what: string): Promise<Sample & { images: number }> {
    const { batchSize, signal } = this.measurer;
    const sampled = await this.measurer.sample(what, async (steps) => {
      this.#epoch += 1;
      const indices = new Int32Array(steps * batchSize);
      const how = { store: this.store, indices, batchSize, epoch: this.#epoch, augment: false };
      const { seconds, threads } = await this.session.trainEpoch({ ...how, signal });
      signal?.throwIfAborted();
      this.threads = threads;
      return seconds;
    });
    return { ...sampled, images: batchSize };
  }
}

/** As many detections as the image has cells become masks, whatever the weights make of it. */
async function predict(session: Session, { image }: DrawnTile, repeats: number, { cells, signal }: Measurer): Promise<number> {
  const all = { bboxThreshold: 1, adaptiveThreshold: false, nmsIou: 1, iouThreshold: -1e9, minArea: 0, normalize: false };
  return timed(
    (async () => {
      for (let i = 0; i < repeats; i += 1) await session.candidates({ image, ...all, floor: 0, maxCandidates: cells, signal });
    })(),
  );
}

/** A point in the middle of the image, which is embedded before. */
async function sampleClicks(
  session: Session,
  { image }: DrawnTile,
  { model, tileSize, signal, sample }: Measurer,
): Promise<Sample> {
  const view = await session.embed({ image, normalize: false, trainedPrompts: trainedPrompts(model.size), signal });
  try {
    const points = { data: Float64Array.of(tileSize / 2, tileSize / 2), shape: [1, 2] };
    const click = { points, labels: { data: Int32Array.of(1), shape: [1] }, multimask: true };
    return await sample("a click", (repeats) =>
      timed(
        (async () => {
          for (let i = 0; i < repeats; i += 1) await view.segment([click], signal);
        })(),
      ),
    );
  } finally {
    await view.dispose();
  }
}

async function timed(work: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work;
  return (performance.now() - start) / 1000;
}
