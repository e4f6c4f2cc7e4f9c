/**
 * A checkpoint that a run wrote means the same in Python: python_reference.py loads it into networks of its own and must find
 * the same cells. CELLSAM_PYTHON names a Python with torch and scipy (default python3); CELLSAM_SKIP_PYTHON=1 leaves this out.
 */
import { spawnSync } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, decodeLabels } from "../../lib/data/decode.js";
import { Random } from "../../lib/data/random.js";
import { drawField, generateSynthetic } from "../../lib/data/synthetic.js";
import { toBorder } from "../../lib/engine/names.js";
import { engineCall } from "../../lib/engine/native.js";
import { openSession, type Prediction, type Session } from "../../lib/engine/session.js";
import { readJson } from "../../lib/files/json.js";
import { cellsam } from "./cellsam.js";

const python = process.env.CELLSAM_PYTHON ?? "python3";
const skipped = process.env.CELLSAM_SKIP_PYTHON === "1";
if (skipped) console.warn("SKIPPED: CELLSAM_SKIP_PYTHON=1, so no Python looks at the checkpoint of a run");

interface Cells {
  labels: number[];
  scores: number[];
  boxes: number[][];
  ious: number[];
}
interface Reference {
  digests: Record<string, string>;
  images: { found: Cells; together: Cells; single: { iou: number; mask: number[]; margin: number[] }[] }[];
}
interface Tolerance {
  /** Of scores and predicted IoUs. */
  score: number;
  /** Pixels. */
  box: number;
}
interface Case extends Picture {
  name: string;
  options: Record<string, number | boolean>;
  tolerance: Tolerance;
  /** Cells that the comparison needs at least, to mean something. */
  atLeast: number;
}

const usual = {
  bboxThreshold: 0.4,
  adaptiveThreshold: true,
  iouThreshold: 0.5,
  maskThreshold: 0.4,
  minArea: 25,
  minVisible: 0.5,
};
const lenient = { ...usual, bboxThreshold: 0.15, adaptiveThreshold: false, iouThreshold: 0.2, minVisible: 0.3 };
/** `tiny` with windows in two of its three blocks; 6 does not divide the grid of 16, so that windows are padded too. */
const overrides = { window: 6, globalBlocks: [1] };

interface Picture {
  pixels: Uint8Array;
  labels: Int32Array;
  /** [H,W]. */
  shape: [number, number];
}

/** What float rounding leaves; a GELU by tanh, or relative positions on scaled queries, are already outside. */
const strict: Tolerance = { score: 1e-5, box: 1e-3 };
/** A resize may round differently in another version of torch, and so move a pixel by one of its 256 levels. */
const resized: Tolerance = { score: 1e-3, box: 0.05 };

/** The top left part of a field, so that height and width may differ from each other and from the model's input. */
function cropped(seed: number, height: number, width: number): Picture {
  const side = Math.max(height, width);
  const field = drawField(new Random(seed), side);
  const from = Int32Array.from({ length: height * width }, (_, at) => Math.floor(at / width) * side + (at % width));
  return {
    pixels: Uint8Array.from(from, (at) => field.pixels[at] ?? 0),
    labels: from.map((at) => field.labels[at] ?? 0),
    shape: [height, width],
  };
}

/** Boxes xyxy around the first `most` cells, and one that leaves the image. */
function boxesOf({ labels, shape: [height, width] }: Picture, most = 5): number[][] {
  const boxes = new Map<number, [number, number, number, number]>();
  labels.forEach((id, at) => {
    if (id === 0 || id > most) return;
    const [x, y] = [at % width, Math.floor(at / width)];
    const [x1, y1, x2, y2] = boxes.get(id) ?? [x, y, x, y];
    boxes.set(id, [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x + 1), Math.max(y2, y + 1)]);
  });
  return [...boxes.values(), [width - 30.5, height - 24.25, width + 3, height + 2]];
}

const largest = (ours: ArrayLike<number>, theirs: number[]) =>
  theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - (ours[i] ?? Number.NaN))), 0);

/** The number of cells: a box without one has a row at the end too, whose score is NaN. */
const cellsOf = ({ scores }: Prediction) => scores.data.filter(Number.isFinite).length;

function expectEqualCells(ours: Prediction, theirs: Cells, { score, box }: Tolerance): void {
  expect(cellsOf(ours)).toBe(theirs.scores.length);
  expect(largest(ours.scores.data, theirs.scores)).toBeLessThan(score);
  expect(largest(ours.ious.data, theirs.ious)).toBeLessThan(score);
  expect(largest(ours.boxes.data, theirs.boxes.flat())).toBeLessThan(box);
  expect(theirs.labels).toHaveLength(ours.labels.data.length);
  const different = theirs.labels.filter((id, at) => id !== ours.labels.data[at]).length;
  expect(different / theirs.labels.length).toBeLessThanOrEqual(0.002);
}

describe.skipIf(skipped)("the checkpoint of a run, in Python", () => {
  let folder: string;
  let session: Session;
  let cases: Case[];
  let reference: Reference;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-python-"));
    const checkpoint = await trainOnOneImage(join(folder, "data"));
    const { data: pixels, shape } = await decodeImage(join(folder, "data/images/synthetic_000.png"));
    const { data: labels } = await decodeLabels(join(folder, "data/masks/synthetic_000.png"));
    const learnt = { pixels: pixels as Uint8Array, labels, shape: [shape[0], shape[1]] as [number, number] };
    cases = [
      { name: "learnt", ...learnt, options: usual, tolerance: strict, atLeast: 5 },
      { name: "new", ...cropped(3, 128, 128), options: usual, tolerance: strict, atLeast: 5 },
      { name: "wide", ...cropped(3, 110, 170), options: lenient, tolerance: resized, atLeast: 5 },
    ];
    reference = await askPython(checkpoint);
    session = await openSession({ size: "tiny", overrides, threads: 1 });
    await session.load(checkpoint);
  });
  afterAll(async () => {
    await session?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  /** One image under four names: the model is validated on what it learns, so the best weights are the last, and find cells. */
  async function trainOnOneImage(directory: string): Promise<string> {
    const { imgPath, maskPath } = await generateSynthetic({ directory, images: 1, size: 128, seed: 5 });
    for (const path of [imgPath, maskPath]) {
      for (const copy of [1, 2, 3]) await copyFile(join(path, "synthetic_000.png"), join(path, `synthetic_00${copy}.png`));
    }
    const loop = "patience: 1000, learning_rate: 1.0e-3, scheduler: cosine, warmup_fraction: 0.05";
    const all = "train_neck_only: false, freeze_image_encoder: false, freeze_prompt_encoder: false, freeze_mask_decoder: false";
    const config = join(directory, "config.yaml");
    await writeFile(
      config,
      [
        `img_path: ${imgPath}\nmask_path: ${maskPath}\noutput_dir: ${join(folder, "out")}`,
        `size: tiny\nsize_overrides: ${JSON.stringify(toBorder(overrides))}`,
        "device: cpu\nthreads: 1\ntile_size: 128\nnormalize: false\ngrey_channel: all\naugmentation: false",
        "strategy: train_val_split\nval_ratio: 0.25\nsave_every: 1000\nsave_visualizations: false",
        `stage1_config: {total_epochs: 40, ${loop}, set_cost_class: 2, set_cost_bbox: 5, set_cost_giou: 2}`,
        `stage2_config: {total_epochs: 25, ${loop}, ${all}, boundary_loss_weight: 0, iou_loss_weight: 1, max_prompts: 6}`,
      ].join("\n"),
    );
    const run = await cellsam(["train", "-c", config, "--name", "run", "--json"]);
    if (run.code !== 0) throw new Error(`training failed: ${run.stderr}`);
    return join(folder, "out/run/models/fold_1/best_model_s2.pth");
  }

  async function askPython(checkpoint: string): Promise<Reference> {
    const tiny = engineCall<{ name: string }[]>("sizes").find(({ name }) => name === "tiny");
    const size = { ...tiny, ...toBorder(overrides) };
    const images = await Promise.all(
      cases.map(async ({ name, options, ...picture }) => {
        const { pixels, shape } = picture;
        const file = join(folder, `${name}.u8`);
        await writeFile(file, Buffer.concat([pixels, pixels, pixels]));
        return { file, shape: [3, ...shape], boxes: boxesOf(picture), options: toBorder(options) };
      }),
    );
    const request = join(folder, "request.json");
    const written = join(folder, "reference.json");
    await writeFile(request, JSON.stringify({ size, images }));
    const script = fileURLToPath(new URL("python_reference.py", import.meta.url));
    const { status, stderr, error } = spawnSync(python, [script, checkpoint, request, written], { encoding: "utf8" });
    if (status !== 0) {
      throw new Error(
        `${python} could not run the reference: set CELLSAM_PYTHON to a Python with torch and scipy, or CELLSAM_SKIP_PYTHON=1. ` +
          (error?.message ?? stderr),
      );
    }
    return readJson<Reference>(written);
  }

  const predict = ({ pixels, shape }: Case, options: Record<string, number | boolean>, prompts?: number[][]) =>
    session.predict({
      image: { data: pixels, shape },
      normalize: false,
      greyChannel: "all",
      ...options,
      ...(prompts && { boxes: { data: Float64Array.from(prompts.flat()), shape: [prompts.length, 4] } }),
    });

  it("holds every weight bit by bit", async () => {
    expect(Object.keys(reference.digests).length).toBeGreaterThan(300);
    expect(reference.digests).toEqual(await session.digest());
  });

  it.each([[0], [1], [2]])("finds the same cells in image %i", async (i) => {
    const image = cases[i] as Case;
    const ours = await predict(image, image.options);
    expect(ours.count).toBeGreaterThanOrEqual(image.atLeast);
    expectEqualCells(ours, (reference.images[i] as Reference["images"][number]).found, image.tolerance);
  });

  it.each([[0], [1], [2]])("predicts the same masks for given boxes in image %i", async (i) => {
    const image = cases[i] as Case;
    const { together, single } = reference.images[i] as Reference["images"][number];
    const given = boxesOf(image);
    expectEqualCells(await predict(image, image.options, given), together, image.tolerance);
    const unfiltered = { ...image.options, iouThreshold: 0, minArea: 0, minVisible: 0, largestPiece: false };
    let compared = 0;
    for (const [k, theirs] of single.entries()) {
      const ours = await predict(image, unfiltered, [given[k] as number[]]);
      // Without any filter a mask is still left out if it has no pixel, or an IoU below zero is predicted for it.
      expect(cellsOf(ours)).toBe(theirs.iou >= 0 && theirs.mask.includes(1) ? 1 : 0);
      if (cellsOf(ours) === 0) continue;
      compared++;
      expect(Math.abs((ours.ious.data[0] as number) - theirs.iou)).toBeLessThan(image.tolerance.score);
      // Only a pixel whose logit stands at the threshold itself may fall on either side.
      const wrong = theirs.mask.filter((bit, at) => bit !== ours.labels.data[at] && (theirs.margin[at] ?? 0) > 1e-3);
      expect(wrong).toHaveLength(0);
    }
    expect(compared).toBeGreaterThanOrEqual(4);
  });
});
