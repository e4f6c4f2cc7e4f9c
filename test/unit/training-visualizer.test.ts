import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PREDICTION, PROMPT, TRUTH } from "../../lib/report/canvas.js";
import { lineChart } from "../../lib/report/charts.js";
import { chartPng, textToPaths } from "../../lib/report/rasterize.js";
import { TrainingVisualizer } from "../../lib/report/trainingVisualizer.js";

let folder: string;
let visualizer: TrainingVisualizer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cellsam-visualizer-"));
  visualizer = new TrainingVisualizer({ outputDir: folder });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Reads a picture with a decoder that had no part in writing it. */
async function pixels(path: string | undefined) {
  const { data, info } = await sharp(path as string)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)];
  const count = (colour: readonly number[]) => {
    let found = 0;
    for (let i = 0; i < data.length; i += 3) if (colour.every((value, c) => data[i + c] === value)) found++;
    return found;
  };
  return { at, count, width: info.width, height: info.height };
}

const side = 512; // shown pixel by pixel
const grey = (value = 100) => ({ data: new Uint8Array(side * side).fill(value), shape: [side, side] });
/** A label map with one square cell a box x0, y0, x1, y1. */
function squares(...boxes: [number, number, number, number][]) {
  const data = new Int32Array(side * side);
  boxes.forEach(([x0, y0, x1, y1], i) => {
    for (let y = y0; y < y1; y++) data.fill(i + 1, y * side + x0, y * side + x1);
  });
  return { data, shape: [side, side] };
}

describe("stage 1", () => {
  test("draws true boxes green and predicted ones red, at their edges and nowhere else", async () => {
    // cx, cy, w, h of (128, 64)..(256, 128) and of (300, 300)..(400, 360)
    const truth = [[0.375, 0.1875, 0.25, 0.125]];
    const predicted = [[350 / side, 330 / side, 100 / side, 60 / side]];
    const path = await visualizer.visualizeStage1Predictions(grey(), predicted, truth, 3, {
      fold: 2,
      batchIdx: 1,
      phase: "val",
    });
    const { at, count, width } = await pixels(path);
    expect(width).toBe(side);
    for (const [x, y] of [
      [128, 64],
      [255, 64],
      [128, 127],
      [255, 127],
      [190, 64],
      [128, 100],
    ] as const)
      expect(at(x, y)).toEqual([...TRUTH]);
    for (const [x, y] of [
      [127, 64],
      [256, 64],
      [128, 63],
      [128, 128],
      [190, 100],
    ] as const)
      expect(at(x, y)).toEqual(at(10, 10));
    for (const [x, y] of [
      [300, 300],
      [399, 359],
    ] as const)
      expect(at(x, y)).toEqual([...PREDICTION]);
    // The frame of a box of w x h, and the square of the legend.
    const legend = 15 * 15;
    expect(count(TRUTH)).toBe(2 * 2 * (128 + 64) - 4 * 4 + legend); // two pixels wide
    expect(count(PREDICTION)).toBe(2 * (100 + 60) - 4 + legend);
  });

  test("shows both where they agree", async () => {
    const box = [[0.5, 0.5, 0.25, 0.25]];
    const { at } = await pixels(await visualizer.visualizeStage1Predictions(grey(), box, box, 1, { phase: "agree" }));
    expect([at(192, 250), at(193, 250)]).toEqual([[...PREDICTION], [...TRUTH]]);
  });

  test("names files as the Python project did", async () => {
    const paths = [
      await visualizer.visualizeStage1Predictions(grey(), [], [], 1),
      await visualizer.visualizeStage1Predictions(grey(), [], [], 12, { fold: 2, batchIdx: 3, phase: "val" }),
      await visualizer.visualizeStage2Masks(grey(), [], squares(), squares(), 4, { batchIdx: 1, imageIdx: 2 }),
      await visualizer.visualizeSingleMask(grey(), squares(), "one.png"),
      await visualizer.plotTrainingCurves([1, 2], undefined),
      await visualizer.plotLossComponents({ a: [1, 2] }),
    ];
    expect(
      paths.map((path) =>
        relative(folder, path as string)
          .split(sep)
          .join("/"),
      ),
    ).toEqual([
      "train/stage1_boxes/epoch_1_batch_0.png",
      "fold_2/val/stage1_boxes/epoch_12_batch_3.png",
      "train/stage2_masks/epoch_4_batch_1_img_2.png",
      "one.png",
      "training_curve.png",
      "loss_components.png",
    ]);
    for (const path of paths) expect(existsSync(path as string)).toBe(true);
  });

  test("D61: writes nothing when saving is off", async () => {
    const off = new TrainingVisualizer({ outputDir: join(folder, "off"), saveEnabled: false });
    expect(await off.visualizeStage1Predictions(grey(), [], [], 1)).toBeUndefined();
    expect(await off.visualizeStage2Masks(grey(), [], squares(), squares(), 1)).toBeUndefined();
    expect(await off.visualizeSingleMask(grey(), squares())).toBeUndefined();
    expect(await off.plotTrainingCurves([1], [1])).toBeUndefined();
    expect(await off.plotLossComponents({ a: [1] })).toBeUndefined();
    expect(existsSync(join(folder, "off"))).toBe(false);
  });
});

describe("the image", () => {
  test.each([
    ["0..1 floats", Float32Array, 0, 1],
    ["16-bit", Uint16Array, 400, 4400],
    ["8-bit", Uint8Array, 0, 255],
    ["standardised floats", Float32Array, -2, 2],
  ] as const)("D90: %s are shown at their true range, from black to white", async (_name, Numbers, low, high) => {
    const ramp = new Numbers(side * side);
    for (let i = 0; i < ramp.length; i++) ramp[i] = low + ((high - low) * (i % side)) / (side - 1);
    const { at } = await pixels(
      await visualizer.visualizeStage1Predictions({ data: ramp, shape: [side, side] }, [], [], 1, { phase: `range ${_name}` }),
    );
    for (const x of [0, 100, 256, 400, 511]) {
      for (const value of at(x, 9)) expect(Math.abs(value - (255 * x) / (side - 1))).toBeLessThan(2.5);
    }
  });

  test("D90: colours stay what they are, channels first or last", async () => {
    const plane = side * side;
    const colour = [200, 40, 120];
    const last = new Float32Array(plane * 3);
    const first = new Float32Array(plane * 3);
    for (let i = 0; i < plane; i++) {
      // Black and white columns fix the range.
      const values = i % side < 20 ? [0, 0, 0] : i % side < 40 ? [255, 255, 255] : colour;
      for (const [c, value] of values.entries()) {
        last[i * 3 + c] = value / 255;
        first[c * plane + i] = value / 255;
      }
    }
    for (const image of [
      { data: last, shape: [side, side, 3] },
      { data: first, shape: [3, side, side] },
    ]) {
      const { at } = await pixels(await visualizer.visualizeSingleMask(image, squares(), "colour.png"));
      for (const [c, value] of at(300, 300).entries()) {
        expect(Math.abs(value - (colour[c] as number))).toBeLessThanOrEqual(1);
      }
    }
  });

  test("a constant or a tiny image is a picture too; small ones are enlarged by a whole factor", async () => {
    const small = { data: Uint8Array.of(0, 255, 255, 0), shape: [2, 2] };
    const { at, width } = await pixels(await visualizer.visualizeStage1Predictions(small, [], [], 1, { phase: "small" }));
    expect(width).toBe(512);
    expect([at(255, 255), at(256, 255), at(256, 256)]).toEqual([
      [0, 0, 0],
      [255, 255, 255],
      [0, 0, 0],
    ]);
    const flat = await pixels(await visualizer.visualizeStage1Predictions(grey(), [], [], 1, { phase: "flat" }));
    expect(flat.width).toBe(side);
    expect(flat.at(500, 10)).toEqual(flat.at(10, 10));
  });
});

describe("masks", () => {
  test("stage 2 shows the prompts in cyan, the true cells, and the predicted cells, a panel each", async () => {
    const cells = squares([100, 100, 140, 160], [140, 100, 180, 160]);
    const prompts = [[100, 100, 140, 160]];
    const path = await visualizer.visualizeStage2Masks(grey(), prompts, squares([300, 300, 340, 340]), cells, 2);
    const { at, count, width } = await pixels(path);
    const second = side + 8;
    const third = 2 * second;
    expect(width).toBe(third + side);
    expect([at(100, 100), at(139, 159)]).toEqual([[...PROMPT], [...PROMPT]]);
    expect(count(PROMPT)).toBe(2 * (40 + 60) - 4);
    expect(at(120, 130)).toEqual(at(10, 10)); // nothing but the frame on the first panel
    const [left, right] = [at(second + 120, 130), at(second + 160, 130)];
    expect(left).not.toEqual(right); // neighbours differ
    for (const cell of [left, right]) expect(cell).not.toEqual(at(second + 10, 10));
    expect(at(second + 139, 130)).toEqual([255, 255, 255]); // the border between them
    expect(at(second + 320, 320)).toEqual(at(second + 10, 10));
    expect(at(third + 320, 320)).not.toEqual(at(third + 10, 10));
    expect(at(third + 120, 130)).toEqual(at(third + 10, 10));
  });

  test("a single mask lies beside the image; regions to ignore are no cells", async () => {
    const mask = squares([100, 100, 200, 200]);
    mask.data.fill(-1, 300 * side, 350 * side);
    const { at, width } = await pixels(await visualizer.visualizeSingleMask(grey(), mask));
    expect(width).toBe(2 * side + 8);
    expect(at(150, 150)).toEqual(at(10, 10));
    expect(at(side + 8 + 150, 150)).not.toEqual(at(10, 10));
    expect(at(side + 8 + 150, 320)).toEqual(at(10, 10));
  });
});

/** Text and shapes of an SVG. */
const words = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);

describe("curves", () => {
  const lines = [
    { name: "training", values: [4, 3, 2, 1.5], dashed: true },
    { name: "validation", values: [5, 3, 4, 4.5], best: 2 },
  ];

  test("name their axes, their lines and the lowest validation loss, which has the only dot on its line", () => {
    const svg = lineChart({ lines, title: "Loss of stage 1", width: 640, height: 400 });
    expect(words(svg)).toEqual(
      expect.arrayContaining(["epoch", "loss", "training", "validation", "Loss of stage 1", "lowest validation loss"]),
    );
    expect(words(svg)).toEqual(expect.arrayContaining(["1", "2", "3", "4"]));
    // The dot of the legend, and that of epoch 2: a third of the way along the axis from 50 to 628.
    const dots = [...svg.matchAll(/<circle[^>]*>/g)].map(([circle]) => Number(/ cx="([^"]*)"/.exec(circle)?.[1]));
    expect(dots).toHaveLength(2);
    expect(Math.min(...dots.map((x) => Math.abs(x - (50 + (628 - 50) / 3))))).toBeLessThan(1);
  });

  test("parts of a loss lie on a logarithmic axis: equal ratios are equal distances", () => {
    const svg = lineChart({ lines: [{ name: "dice", values: [1, 0.1, 0.01] }], log: true });
    expect(words(svg)).toContain("loss (log scale)");
    const [, path = ""] = svg.match(/aria-label="line"[^>]*><path d="(M[^"]*)"/) ?? [];
    const ys = path
      .split(/[ML]/)
      .slice(1)
      .map((point) => Number(point.split(",")[1]));
    expect(ys).toHaveLength(3);
    expect((ys[1] as number) - (ys[0] as number)).toBeCloseTo((ys[2] as number) - (ys[1] as number), 1);
    expect(ys[1]).toBeGreaterThan(ys[0] as number);
  });

  test("gaps, a single epoch and nothing at all are drawn", async () => {
    for (const values of [[1, null, 2], [1], [], [null, null]]) {
      const path = await visualizer.plotTrainingCurves(values, values, "odd", "odd.png");
      expect((await sharp(path).metadata()).density).toBe(150);
    }
    const drawn = async (components: Record<string, number[]>) => {
      const { count } = await pixels(await visualizer.plotLossComponents(components, "odd", "odd.png"));
      return count([0x00, 0x72, 0xb2]) + count([0xd5, 0x5e, 0x00]);
    };
    // A loss of zero has no place on a logarithmic axis: of its line only the sample in the legend is left.
    const [both, one, none] = [await drawn({ zero: [0, 0], one: [1, 2] }), await drawn({ one: [1, 2] }), await drawn({})];
    expect([both > one, one > 100, none]).toEqual([true, true, 0]);
  });

  test("the PNG shows the lines in their colours, on white", async () => {
    const { at, count } = await pixels(await visualizer.plotTrainingCurves([4, 3, 2], [5, 3, 4], "t", "colours.png"));
    expect(at(0, 0)).toEqual([255, 255, 255]);
    expect(count([0x00, 0x72, 0xb2])).toBeGreaterThan(100);
    expect(count([0xd5, 0x5e, 0x00])).toBeGreaterThan(100);
  });

  test("every letter is an outline with numbers only, wherever it stands", async () => {
    for (let x = 0; x < 300; x++) {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg"><text x="${x * 0.37 + 37}" y="${427.5 - x / 7}" font-size="11">best (kept) 6.5</text></svg>`;
      const outlined = await textToPaths(svg);
      expect(outlined).not.toContain("<text");
      expect(outlined).not.toMatch(/NaN|Infinity|undefined/);
    }
    expect((await chartPng(lineChart({ lines }))).length).toBeGreaterThan(1000);
  });
});
