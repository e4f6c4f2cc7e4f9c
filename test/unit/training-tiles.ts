/**
 * What the training tests stand on: a model whose step takes milliseconds, tiles with bright ellipses whose labels are known,
 * and the numbers of a saved checkpoint.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NdArray } from "../../lib/engine/native.js";
import { type ImageArray, openSession, type Session, type SessionOptions } from "../../lib/engine/session.js";
import { openStoreWriter } from "../../lib/engine/storeWriter.js";
import type { NoticeEvent, StepEvent } from "../../lib/events.js";
import { testDevice } from "../device.js";

export const side = 64;

/** What makes of the size "tiny" a network whose step takes milliseconds. */
export const smallNetwork = {
  imageSize: side,
  patch: 8,
  embedDim: 32,
  depth: 2,
  heads: 2,
  promptDim: 32,
  decoderHeads: 2,
  decoderMlp: 64,
  iouHidden: 32,
  detectorDim: 32,
  detectorHeads: 2,
  detectorFfn: 64,
  decoderLayers: 2,
  numQueries: 16,
};

/** On the device under test, in fp32, and with one thread, so that sums are always taken in the same order. */
export function smallOptions(options: Partial<SessionOptions> = {}): SessionOptions {
  const usual = { size: "tiny", device: testDevice, threads: 1, seed: 1, precision: "fp32" } as const;
  return { ...usual, ...options, overrides: { ...smallNetwork, ...options.overrides } };
}

export function smallSession(options: Partial<SessionOptions> = {}): Promise<Session> {
  return openSession(smallOptions(options));
}

/** The options of a stage that every test gives; SGD's first step is lr * gradient, so weights show gradients. */
export const plainSgd = { optimizer: "sgd", learningRate: 0.1, weightDecay: 0, gradClip: 0, scheduler: "none" } as const;
/** A learning rate that changes no weight. */
export const tinyRate = 1e-30;

export interface Tile {
  image: ImageArray;
  labels: NdArray<Int32Array>;
}

/** Ellipses on a jittered 3 x 3 grid, brighter than a noisy background; at most nine, none touches another. */
export function ellipses(seed: number, cells: number): Tile {
  const random = generator(seed);
  const pixels = new Uint8Array(side * side * 3);
  const labels = new Int32Array(side * side);
  for (let i = 0; i < pixels.length; ++i) pixels[i] = 20 + 20 * random();
  const places = [...Array(9).keys()].sort(() => random() - 0.5).slice(0, cells);
  places.forEach((place, cell) => {
    const [x, y] = [place % 3, Math.floor(place / 3)].map((part) => 11 + 21 * part + 4 * random() - 2) as [number, number];
    const [a, b] = [5 + 3 * random(), 5 + 3 * random()];
    const brightness = 150 + 80 * random();
    for (let row = 0; row < side; ++row) {
      for (let column = 0; column < side; ++column) {
        if (((column - x) / a) ** 2 + ((row - y) / b) ** 2 > 1) continue;
        labels[row * side + column] = cell + 1;
        pixels.fill(brightness, 3 * (row * side + column), 3 * (row * side + column) + 3);
      }
    }
  });
  return { image: { data: pixels, shape: [side, side, 3] }, labels: { data: labels, shape: [side, side] } };
}

/** A store with one tile per entry, sources named tile0, tile1, and so on. */
export async function storeOf(tiles: Tile[], path: string): Promise<string> {
  const writer = await openStoreWriter({ path, tileSize: side, overlap: 0, normalize: false });
  for (const [i, tile] of tiles.entries()) await writer.add({ ...tile, source: `tile${i}` });
  await writer.finish();
  await writer.dispose();
  return path;
}

/** Trains one epoch without augmentation and returns its report and its steps. */
export async function train(
  session: Session,
  store: string,
  indices: number[],
  options: {
    epoch?: number;
    batchSize?: number;
    startStep?: number;
    augment?: boolean;
    complexAugmentation?: boolean;
    stopAfter?: number;
  } = {},
) {
  const { epoch = 0, batchSize = 1, augment = false, complexAugmentation = false, startStep = 0, stopAfter } = options;
  const steps: StepEvent[] = [];
  const notices: string[] = [];
  const stop = new AbortController();
  const onStep = (step: StepEvent) => {
    steps.push(step);
    if (step.step === stopAfter) stop.abort();
  };
  const range = { store, indices: Int32Array.from(indices), epoch, batchSize, augment, complexAugmentation, startStep };
  const onNotice = ({ message }: NoticeEvent) => notices.push(message);
  const report = await session.trainEpoch({ ...range, onStep, onNotice, signal: stop.signal });
  return { ...report, events: steps, notices };
}

/** Names whose bits differ. */
export function moved(before: Record<string, string>, after: Record<string, string>): string[] {
  return Object.keys(before).filter((name) => before[name] !== after[name]);
}

/** Every float32 tensor of the session's model. */
export async function weightsOf(session: Session, folder: string): Promise<Map<string, Float32Array>> {
  const path = join(folder, "weights.safetensors");
  await session.save(path, { format: "safetensors" });
  const bytes = readFileSync(path);
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + size)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const weights = new Map<string, Float32Array>();
  for (const [name, { dtype, data_offsets: range }] of Object.entries(header)) {
    if (dtype !== "F32") continue;
    const [begin, end] = range.map((offset) => offset + 8 + size) as [number, number];
    weights.set(name, new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer));
  }
  return weights;
}

/** Loads the session's own weights again, with those of one tensor changed by `change`. They must be finite. */
export async function spoilWeights(session: Session, folder: string, name: string, change: (values: Float32Array) => void) {
  const path = join(folder, "spoiled.safetensors");
  await session.save(path, { format: "safetensors" });
  const bytes = readFileSync(path);
  const size = Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...header } = JSON.parse(bytes.toString("utf8", 8, 8 + size)); // without its checksum
  const [begin, end] = header[name].data_offsets.map((offset: number) => offset + 8 + size) as [number, number];
  const values = new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer);
  change(values);
  bytes.set(new Uint8Array(values.buffer), begin);
  const text = Buffer.from(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, bytes.subarray(8 + size)]));
  await session.load(path);
}

/** How far weights went, all in one list, in the order of `from`. */
export function changes(from: Map<string, Float32Array>, to: Map<string, Float32Array>): Float64Array {
  const all = [...from].flatMap(([name, before]) =>
    Array.from(before, (value, i) => (to.get(name)?.[i] ?? Number.NaN) - value),
  );
  return Float64Array.from(all);
}

/** |a - b| / |b| with Euclidean norms. */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; ++i) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}

function generator(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}
