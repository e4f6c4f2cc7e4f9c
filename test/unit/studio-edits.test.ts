// Edits of a label map against plain code over arrays, and against what an image's labels are after a restart.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodeLabels } from "../../lib/data/decode.js";
import { Random } from "../../lib/data/random.js";
import type { Edit } from "../../lib/studio/api.js";
import { applyDelta, packRuns, unpackRuns } from "../../lib/studio/delta.js";
import { type LabelEdit, makeEdit } from "../../lib/studio/edits.js";
import { LabelMap } from "../../lib/studio/labelMap.js";
import { ImageLabels, type LabelFiles, type Start } from "../../lib/studio/labels.js";
import { runLengthsOf } from "../../lib/studio/runLengths.js";

const folder = mkdtempSync(join(tmpdir(), "cellsam-studio-edits-"));
afterAll(() => rmSync(folder, { recursive: true }));

const [height, width] = [40, 50];
const drawn = () => ({ score: null, state: "drawn" as const });

interface Plain {
  ids: number[];
  notes: Map<number, { score: number | null; state: string }>;
}

/** The reference: whole arrays, pixel after pixel. */
class Reference {
  now: Plain;
  highest = 0;
  readonly past: Plain[] = [];
  readonly future: Plain[] = [];

  constructor(ids: ArrayLike<number>, note: (id: number) => { score: number | null; state: string }) {
    const list = Array.from(ids);
    this.now = { ids: list, notes: new Map([...new Set(list)].filter((id) => id > 0).map((id) => [id, note(id)])) };
    this.highest = Math.max(0, ...list);
  }

  /** Keeps what was, unless nothing has changed. */
  become(next: Plain): void {
    const present = new Set(next.ids);
    const notes = new Map([...next.notes].filter(([id]) => present.has(id)));
    if (same(this.now, { ids: next.ids, notes })) return;
    this.past.push(this.now);
    this.future.length = 0;
    this.now = { ids: next.ids, notes };
    this.highest = Math.max(this.highest, ...next.ids);
  }

  move(from: Plain[], to: Plain[]): void {
    to.push(this.now);
    this.now = from.pop() as Plain;
  }

  apply(edit: LabelEdit): void {
    const ids = [...this.now.ids];
    const notes = new Map(this.now.notes);
    const byHand = (id: number) => notes.set(id, { score: notes.get(id)?.score ?? null, state: "drawn" });
    const chosen = (cells: "all" | number[], which: (state: string) => boolean = () => true) =>
      cells === "all" ? [...notes].filter(([, { state }]) => which(state)).map(([id]) => id) : cells;
    switch (edit.kind) {
      case "paint": {
        const id = edit.cell ?? this.highest + 1;
        let any = false;
        for (const at of near(edit.points, edit.radius)) {
          if (ids[at] === id || (edit.over === "background" && ids[at] !== 0)) continue;
          ids[at] = id;
          any = true;
        }
        if (any) byHand(id);
        break;
      }
      case "erase":
        for (const at of near(edit.points, edit.radius)) {
          const id = ids[at] as number;
          if (id === 0 || (edit.cell !== null && id !== edit.cell)) continue;
          ids[at] = 0;
          byHand(id);
        }
        break;
      case "add": {
        const [x0, y0, x1] = edit.bounds;
        const id = this.highest + 1;
        const ones = edit.runs.flatMap((length, i) => Array(length).fill(i % 2));
        const asked = ones.flatMap((one, i) =>
          one === 1 ? [(y0 + Math.floor(i / (x1 - x0))) * width + x0 + (i % (x1 - x0))] : [],
        );
        // Of each region that is asked for the largest one that others leave free, the first of equals.
        for (const region of regionsOf(asked)) {
          const free = regionsOf(region.filter((at) => edit.over === "all" || ids[at] === 0));
          for (const at of free.find(({ length }) => length === Math.max(...free.map((one) => one.length))) ?? []) ids[at] = id;
        }
        notes.set(id, { score: edit.score ?? null, state: "drawn" });
        break;
      }
      case "delete":
        for (const id of chosen(edit.cells)) replaceAll(ids, id, 0);
        break;
      case "reject":
        for (const id of chosen(edit.cells, (state) => state === "predicted")) replaceAll(ids, id, 0);
        break;
      case "accept":
        for (const id of chosen(edit.cells, (state) => state === "predicted"))
          notes.set(id, { score: notes.get(id)?.score ?? null, state: "accepted" });
        break;
      case "merge":
        for (const id of edit.cells.slice(1)) replaceAll(ids, id, edit.cells[0] as number);
        byHand(edit.cells[0] as number);
        break;
      case "fill": {
        const outside = outsideOf(ids, edit.cell);
        let any = false;
        for (const [at, id] of ids.entries()) {
          if (id !== 0 || outside.has(at)) continue;
          ids[at] = edit.cell;
          any = true;
        }
        if (any) byHand(edit.cell);
        break;
      }
      default:
        throw new Error(`the reference knows no ${edit.kind}`);
    }
    this.become({ ids, notes });
  }
}

function same(a: Plain, b: Plain): boolean {
  const text = ({ ids, notes }: Plain) => JSON.stringify([ids, [...notes].sort((x, y) => x[0] - y[0])]);
  return text(a) === text(b);
}

function replaceAll(ids: number[], from: number, to: number): void {
  for (const [at, id] of ids.entries()) if (id === from) ids[at] = to;
}

/** The regions of pixels that share edges, the one with the first pixel first. */
function regionsOf(pixels: readonly number[]): number[][] {
  const left = new Set(pixels);
  const regions: number[][] = [];
  for (const first of [...pixels].sort((a, b) => a - b)) {
    if (!left.delete(first)) continue;
    const region = [first];
    for (const at of region) {
      const beside = [at - width, at + width, at % width > 0 ? at - 1 : -1, at % width < width - 1 ? at + 1 : -1];
      region.push(...beside.filter((next) => left.delete(next)));
    }
    regions.push(region);
  }
  return regions;
}

/** Pixels whose centre is within the radius of one of the segments. */
function near(points: readonly (readonly [number, number])[], radius: number): number[] {
  const reach = Math.max(radius, Math.SQRT1_2);
  const found: number[] = [];
  for (let at = 0; at < height * width; at++) {
    const [x, y] = [(at % width) + 0.5, Math.floor(at / width) + 0.5];
    const isNear = points.some(([bx, by], i) => {
      const [ax, ay] = points[Math.max(0, i - 1)] as readonly [number, number];
      const square = (bx - ax) ** 2 + (by - ay) ** 2;
      const along = square === 0 ? 0 : ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square;
      const t = Math.min(1, Math.max(0, along));
      return Math.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)) <= reach;
    });
    if (isNear) found.push(at);
  }
  return found;
}

/** Pixels that are connected with the image's outside by edges, without a way through the cell. */
function outsideOf(ids: readonly number[], cell: number): Set<number> {
  const found = new Set<number>();
  const reached = new Set(["-1,-1"]);
  const stack: [number, number][] = [[-1, -1]];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    const [x, y] = at;
    if (x >= 0 && y >= 0 && x < width && y < height) found.add(y * width + x);
    for (const [i, j] of [
      [x + 1, y],
      [x - 1, y],
      [x, y + 1],
      [x, y - 1],
    ] as const) {
      const within = i >= 0 && j >= 0 && i < width && j < height;
      if (i < -1 || j < -1 || i > width || j > height || reached.has(`${i},${j}`)) continue;
      if (within && ids[j * width + i] === cell) continue;
      reached.add(`${i},${j}`);
      stack.push([i, j]);
    }
  }
  return found;
}

/** The cells, counted pixel after pixel. */
function cellsOf({ ids, notes }: Plain) {
  return [...notes]
    .sort((a, b) => a[0] - b[0])
    .map(([id, note]) => {
      const own = ids.flatMap((value, at) => (value === id ? [[at % width, Math.floor(at / width)] as const] : []));
      const [xs, ys] = [own.map(([x]) => x), own.map(([, y]) => y)];
      const mean = (list: number[]) => list.reduce((sum, value) => sum + value + 0.5, 0) / list.length;
      const bounds = [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1];
      return { id, bounds, centre: [mean(xs), mean(ys)], area: own.length, ...note };
    });
}

function close(map: LabelMap, plain: Plain): void {
  expect(map.data.join()).toBe(plain.ids.join());
  const cells = map.cells();
  const wanted = cellsOf(plain);
  const rounded = (list: readonly { centre: readonly number[] }[]) =>
    list.map((cell) => ({ ...cell, centre: cell.centre.map((value) => Number(value.toFixed(6))) }));
  expect(rounded(cells)).toEqual(rounded(wanted));
}

/** A few discs of a prediction. */
function discs(random: Random): Int32Array {
  const ids = new Int32Array(height * width);
  for (let id = 1; id <= 6; id++) {
    const centre = [random.uniform(0, width), random.uniform(0, height)] as const;
    for (const at of near([centre], random.uniform(2, 7))) ids[at] = id;
  }
  return ids;
}

function randomEdit(random: Random, known: number[]): LabelEdit {
  const cell = known[random.integer(0, Math.max(0, known.length - 1))] ?? null;
  const point = (): [number, number] => [random.uniform(-5, width + 5), random.uniform(-5, height + 5)];
  const points = Array.from({ length: random.integer(1, 4) }, point);
  const over = random.uniform() < 0.5 ? "all" : "background";
  const some = () => (random.uniform() < 0.1 ? ("all" as const) : cell === null ? ("all" as const) : [cell]);
  const kinds: (() => LabelEdit)[] = [
    () => ({ kind: "paint", points, radius: random.uniform(0, 4), cell: random.uniform() < 0.5 ? cell : null, over }),
    () => ({ kind: "erase", points, radius: random.uniform(0, 4), cell: random.uniform() < 0.5 ? cell : null }),
    () => ({ kind: "delete", cells: some() }),
    () => ({ kind: "accept", cells: some() }),
    () => ({ kind: "reject", cells: some() }),
  ];
  if (cell !== null) kinds.push(() => ({ kind: "fill", cell }));
  if (known.length > 1) kinds.push(() => ({ kind: "merge", cells: random.shuffle(known).slice(0, 2) }));
  kinds.push(() => {
    const [x, y] = [random.integer(0, width - 6), random.integer(0, height - 5)];
    const mask = Array.from({ length: 30 }, () => random.integer(0, 1));
    return { kind: "add", bounds: [x, y, x + 6, y + 5], runs: runLengthsOf(mask), over, score: 0.5 };
  });
  return (kinds[random.integer(0, kinds.length - 1)] as () => LabelEdit)();
}

function filesOf(name: string): LabelFiles {
  const file = (ending: string) => join(folder, name, ending);
  return { base: file("base.tif"), journal: file("journal"), draft: file("draft.tif"), correction: file("done.tif") };
}

function start(random: Random): Start {
  return { base: "prediction", labels: discs(random), scores: new Map([[1, 0.9]]), saved: false };
}

describe("edits of an image's labels", () => {
  it.each([1, 2, 3, 4])(
    "do what plain code does, with undo and redo, and are there after a restart (seed %i)",
    async (seed) => {
      const random = new Random(seed);
      const files = filesOf(`random-${seed}`);
      const begin = start(random);
      const reference = new Reference(begin.labels as Int32Array, (id) => ({
        score: id === 1 ? 0.9 : null,
        state: "predicted",
      }));
      let labels = await ImageLabels.open(files, { width, height }, async () => begin);
      for (let step = 0; step < 150; step++) {
        const turn = random.uniform();
        if (turn < 0.15 && reference.past.length > 0) {
          await labels.edit(labels.revision, { kind: "undo" });
          reference.move(reference.past, reference.future);
        } else if (turn < 0.25 && reference.future.length > 0) {
          await labels.edit(labels.revision, { kind: "redo" });
          reference.move(reference.future, reference.past);
        } else {
          const edit = randomEdit(random, [...reference.now.notes.keys()]);
          await labels.edit(labels.revision, edit as Edit);
          reference.apply(edit);
        }
        expect(labels.depth).toEqual({ undo: reference.past.length, redo: reference.future.length });
        close(labels.map, reference.now);
        if (step % 50 !== 49) continue;
        const { revision, depth } = labels;
        await labels.close();
        labels = await ImageLabels.open(files, { width, height }, async () => begin);
        expect([labels.revision, labels.depth]).toEqual([revision, depth]);
        close(labels.map, reference.now);
      }
      await labels.close();
    },
  );

  it("lose at most the edit that was being written, wherever the journal ends", async () => {
    const random = new Random(7);
    const files = filesOf("cut");
    const begin = start(random);
    const labels = await ImageLabels.open(files, { width, height }, async () => begin);
    const states = [Array.from(labels.map.data)];
    const sizes = [0];
    for (let step = 0; step < 20; step++) {
      const x = random.uniform(0, width);
      await labels.edit(labels.revision, { kind: "paint", points: [[x, 20]], radius: 3, cell: null, over: "all" });
      states.push(Array.from(labels.map.data));
      sizes.push(readFileSync(files.journal).length);
    }
    await labels.close();
    const whole = readFileSync(files.journal);
    for (let cut = 0; cut < 25; cut++) {
      const size = random.integer(sizes[1] as number, whole.length);
      writeFileSync(files.journal, whole.subarray(0, size));
      const again = await ImageLabels.open(files, { width, height }, async () => begin);
      const written = sizes.filter((one) => one <= size).length - 1;
      expect(again.revision).toBe(written);
      expect(Array.from(again.map.data)).toEqual(states[written]);
      // What was cut off does not come back into the next edits.
      await again.edit(again.revision, { kind: "undo" });
      await again.close();
      const third = await ImageLabels.open(files, { width, height }, async () => begin);
      expect(Array.from(third.map.data)).toEqual(states[written - 1]);
      await third.close();
    }
  });

  it("refuse a journal with damage in the middle, and leave it as it is", async () => {
    const files = filesOf("damaged");
    const labels = await ImageLabels.open(files, { width, height }, async () => start(new Random(8)));
    for (const y of [5, 15, 25]) await labels.edit(labels.revision, paint(10, y));
    await labels.close();
    const lines = readFileSync(files.journal, "utf8").split("\n");
    lines[2] = lines[2]?.slice(0, 20) ?? "";
    writeFileSync(files.journal, lines.join("\n"));
    const before = readFileSync(files.journal);
    await expect(ImageLabels.open(files, { width, height }, async () => start(new Random(8)))).rejects.toMatchObject({
      code: "ERR_FILE",
      message: expect.stringContaining("is damaged"),
    });
    expect(readFileSync(files.journal)).toEqual(before);
  });

  it("answer a second author of the same revision with a conflict", async () => {
    const labels = await ImageLabels.open(filesOf("two"), { width, height }, async () => start(new Random(9)));
    const both = [labels.edit(0, paint(10, 10)), labels.edit(0, paint(30, 30))];
    const [first, second] = await Promise.allSettled(both);
    expect(first).toMatchObject({ status: "fulfilled", value: { revision: 1, undo: 1 } });
    expect(second).toMatchObject({ status: "rejected", reason: { code: "ERR_CONFLICT", detail: { revision: 1 } } });
    await labels.close();
  });

  it("name the pixels and the cells that changed", async () => {
    const empty: Start = { base: "empty", labels: null, scores: new Map(), saved: false };
    const labels = await ImageLabels.open(filesOf("answer"), { width, height }, async () => empty);
    const square: Edit = { kind: "add", bounds: [2, 3, 6, 5], runs: [0, 8], over: "background" };
    expect(await labels.edit(0, square)).toEqual({
      ...{ revision: 1, bounds: [2, 3, 6, 5], removed: [], undo: 1, redo: 0 },
      cells: [{ id: 1, bounds: [2, 3, 6, 5], centre: [4, 4], area: 8, score: null, state: "drawn" }],
    });
    expect(await labels.edit(1, { kind: "delete", cells: [1] })).toMatchObject({
      bounds: [2, 3, 6, 5],
      cells: [],
      removed: [1],
    });
    const undone = await labels.edit(2, { kind: "undo" });
    expect(undone).toMatchObject({ revision: 3, cells: [{ id: 1, area: 8 }], removed: [], undo: 1, redo: 1 });
    await expect(labels.edit(3, { kind: "fill", cell: 9 })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    expect(await labels.edit(3, { kind: "fill", cell: 1 })).toMatchObject({ revision: 3, bounds: null, cells: [] });
    await labels.close();
  });

  it("write a label map with ids from 1, as a correction only of what is done", async () => {
    const files = filesOf("saved");
    const labels = await ImageLabels.open(files, { width, height }, async () => start(new Random(10)));
    await labels.edit(0, { kind: "delete", cells: [1] });
    await labels.save();
    const names = () => readdirSync(join(folder, "saved")).sort();
    expect(names()).toEqual(["base.tif", "draft.tif", "journal"]);
    await labels.setDone(true);
    expect(names()).toEqual(["base.tif", "done.tif", "journal"]);
    const { data } = await decodeLabels(files.correction);
    const ids = [...new Set(labels.map.data)].sort((a, b) => a - b);
    expect(Array.from(data)).toEqual(Array.from(labels.map.data, (id) => ids.indexOf(id)));
    await labels.setDone(false);
    expect(names()).toEqual(["base.tif", "draft.tif", "journal"]);
    await labels.close();
  });

  it("take a new prediction to begin with only where nobody has edited", async () => {
    const labels = await ImageLabels.open(filesOf("restart"), { width, height }, async () => start(new Random(11)));
    const other: Start = {
      base: "prediction",
      labels: new Int32Array(height * width).fill(3),
      scores: new Map(),
      saved: false,
    };
    expect(await labels.restart(async () => other)).toBe(true);
    expect([labels.revision, labels.map.cell(3)?.area]).toEqual([1, height * width]);
    await labels.edit(1, { kind: "erase", points: [[5, 5]], radius: 2, cell: null });
    expect(await labels.restart(async () => start(new Random(11)))).toBe(false);
    await labels.close();
  });
});

const paint = (x: number, y: number): Edit => ({ kind: "paint", points: [[x, y]], radius: 3, cell: null, over: "all" });

describe("a split by a line", () => {
  const map = (rows: string[]) => {
    const ids = Int32Array.from(rows.join(""), Number);
    return new LabelMap(ids, rows.length, rows[0]?.length ?? 0, drawn);
  };
  const rows = ({ data, width: across }: LabelMap) =>
    Array.from({ length: data.length / across }, (_, y) => data.subarray(y * across, (y + 1) * across).join(""));

  it("gives every pixel to the nearest part; the largest keeps the id", () => {
    const cell = map(["1111111", "1111111", "1111111"]);
    makeEdit(cell, {
      kind: "split",
      cell: 1,
      line: [
        [2.5, -1],
        [2.5, 4],
      ],
    });
    const sizes = cell.cells().map(({ area }) => area);
    expect(sizes.reduce((sum, area) => sum + area)).toBe(21);
    expect(rows(cell).every((row) => /^2{2,3}1{4,5}$/.test(row))).toBe(true);
  });

  it("leaves no way through a slanted line", () => {
    const cell = map(Array(9).fill("111111111"));
    makeEdit(cell, {
      kind: "split",
      cell: 1,
      line: [
        [-0.5, 0.2],
        [9.4, 8.7],
      ],
    });
    expect(cell.count).toBe(2);
  });

  it("refuses a line that ends inside, and changes nothing", () => {
    const cell = map(Array(5).fill("11111"));
    expect(() =>
      makeEdit(cell, {
        kind: "split",
        cell: 1,
        line: [
          [2.5, -1],
          [2.5, 2.5],
        ],
      }),
    ).toThrow("does not divide cell 1");
    expect(rows(cell)).toEqual(Array(5).fill("11111"));
  });

  it("leaves other cells and separate pieces alone", () => {
    const cell = map(["1110111", "1110111", "2220001"]);
    makeEdit(cell, {
      kind: "split",
      cell: 1,
      line: [
        [1.5, -1],
        [1.5, 4],
      ],
    });
    expect(rows(cell).map((row) => row.slice(3))).toEqual(["0111", "0111", "0001"]);
    expect(rows(cell)[2]?.slice(0, 3)).toBe("222");
    expect(cell.count).toBe(3);
  });
});

describe("a delta", () => {
  it("comes back from its text", () => {
    const runs = [100, 5, 0, 7, 20, 1, 7, 0, 260_000_000, 128, 2 ** 31 - 1, 1];
    expect(unpackRuns(packRuns(runs))).toEqual(runs);
  });

  it("takes pixels back that an edit wrote twice", () => {
    const map = new LabelMap(Int32Array.from([1, 1, 2, 2, 0, 0]), 1, 6, drawn);
    const before = Array.from(map.data);
    const delta = makeEdit(map, { kind: "merge", cells: [1, 2] });
    expect(Array.from(map.data)).toEqual([1, 1, 1, 1, 0, 0]);
    applyDelta(map, delta, "back");
    expect([Array.from(map.data), map.cells().map(({ area }) => area)]).toEqual([before, [2, 2]]);
  });
});
