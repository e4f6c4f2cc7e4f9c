/** The parts of studio's page that need no browser. */
import { readFile } from "node:fs/promises";
import { describe, expect, test, vi } from "vitest";
import type { Bounds, Epoch } from "../../lib/studio/api.js";
import { commandOf, keymap, keyOf, shown } from "../../lib/studio/page/commands/keymap.js";
import { lossCurves } from "../../lib/studio/page/panels/lossCurves.js";
import { bytes, counted, duration } from "../../lib/studio/page/panels/numbers.js";
import { scoreCurve } from "../../lib/studio/page/panels/scoreCurve.js";
import { addressOf, parseRoute } from "../../lib/studio/page/state/address.js";
import { centred, fitted, toImage, toScreen, towards, visible } from "../../lib/studio/page/viewer/camera.js";
import { CellColours, colours } from "../../lib/studio/page/viewer/cellColours.js";
import { lookup, mix } from "../../lib/studio/page/viewer/contrast.js";
import { borders, paint, pixelOf } from "../../lib/studio/page/viewer/labelTile.js";
import { TileCache } from "../../lib/studio/page/viewer/tileCache.js";
import { areaOfTile, levelFor, overlap, parentOf, tilesIn } from "../../lib/studio/page/viewer/tiles.js";

/** Numbers from 0 to 1, the same in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("tiles", () => {
  const pyramid = {
    width: 1300,
    height: 600,
    tileSize: 512,
    levels: [
      { width: 1300, height: 600, columns: 3, rows: 2 },
      { width: 650, height: 300, columns: 2, rows: 1 },
      { width: 325, height: 150, columns: 1, rows: 1 },
    ],
  };

  test("the level has about one pixel for each of the screen", () => {
    expect([20, 1, 0.7, 0.5, 0.3, 0.25, 0.01].map((scale) => levelFor(scale, 3))).toEqual([0, 0, 0, 1, 2, 2, 2]);
  });

  test("a view takes exactly the tiles that it touches, the nearest first", () => {
    const next = random(1);
    for (let round = 0; round < 200; round++) {
      const level = Math.floor(3 * next());
      const [x, y] = [1700 * next() - 200, 900 * next() - 200];
      const area: Bounds = [x, y, x + 1 + 600 * next(), y + 1 + 400 * next()];
      const all = [];
      const { columns, rows } = pyramid.levels[level] as { columns: number; rows: number };
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) all.push({ level, x: column, y: row });
      const touched = all.filter((tile) => {
        const side = 512 * 2 ** level;
        return overlap([tile.x * side, tile.y * side, (tile.x + 1) * side, (tile.y + 1) * side], area);
      });
      const found = tilesIn(area, level, pyramid);
      expect(new Set(found.map((tile) => `${tile.x},${tile.y}`))).toEqual(
        new Set(touched.map((tile) => `${tile.x},${tile.y}`)),
      );
    }
    expect(tilesIn([1100, 0, 1300, 600], 0, pyramid)[0]).toEqual({ level: 0, x: 2, y: 0 });
  });

  test("the last tile ends with the image, and lies in its parent", () => {
    expect(areaOfTile({ level: 0, x: 2, y: 1 }, pyramid)).toEqual([1024, 512, 1300, 600]);
    expect(areaOfTile({ level: 1, x: 1, y: 0 }, pyramid)).toEqual([1024, 0, 1300, 600]);
    expect(parentOf({ level: 0, x: 2, y: 1 })).toEqual({ level: 1, x: 1, y: 0 });
  });
});

describe("camera", () => {
  const canvas = { width: 800, height: 600 };

  test("a fitted image is in the middle", () => {
    const camera = fitted({ width: 2000, height: 1000 }, canvas);
    expect(toScreen(camera, [1000, 500])).toEqual([400, 300]);
    expect(camera.scale).toBeCloseTo((0.96 * 800) / 2000);
    expect(visible(camera, canvas)[0]).toBeLessThan(0);
  });

  test("to the screen and back", () => {
    const camera = centred([123.5, 77], 3, canvas);
    expect(toScreen(camera, [123.5, 77])).toEqual([400, 300]);
    const [x, y] = toImage(camera, toScreen(camera, [5, 9]));
    expect([x, y].map((value) => value.toFixed(9))).toEqual(["5.000000000", "9.000000000"]);
  });

  test("a point outside is brought to the margin, one inside moves nothing", () => {
    const camera = { x: 0, y: 0, scale: 1 };
    expect(towards(camera, [400, 300], canvas, 40)).toEqual([0, 0]);
    expect(towards(camera, [790, -10], canvas, 40)).toEqual([-30, 50]);
  });
});

describe("contrast", () => {
  const sent = { low: 0, high: 255 };

  test("bytes keep their values where the range shown is the one sent", () => {
    const table = lookup({ visible: true, color: "ffffff", low: 100, high: 400 }, { low: 100, high: 400 });
    const target = new Uint8ClampedArray(8);
    mix([Uint8ClampedArray.from([0, 0, 0, 255, 200, 0, 0, 255])], [table], target);
    expect([...target]).toEqual([0, 0, 0, 255, 200, 200, 200, 255]);
  });

  test("a narrower range stretches, and cuts at both ends", () => {
    const table = lookup({ visible: true, color: "ff0000", low: 51, high: 102 }, sent);
    const target = new Uint8ClampedArray(16);
    const bytesOf = [20, 51, 61, 200].flatMap((value) => [value, 0, 0, 255]);
    mix([Uint8ClampedArray.from(bytesOf)], [table], target);
    // (61 - 51) / 51 * 255 = 50
    expect([target[0], target[4], target[8], target[12]]).toEqual([0, 0, 50, 255]);
  });

  test("channels add up to white at most, over several pictures, and a hidden one adds nothing", () => {
    const shown = (color: string, visible = true) => lookup({ visible, color, low: 0, high: 255 }, sent);
    const pictures = [Uint8ClampedArray.from([200, 100, 50, 255]), Uint8ClampedArray.from([255, 255, 0, 255])];
    const tables = [shown("ff0000"), shown("ff8000"), shown("0000ff"), shown("00ff00", false), shown("004000")];
    const target = new Uint8ClampedArray(4);
    mix(pictures, tables, target);
    // red 200 + 100; green 128 * 100 / 255 = 50 and 64; blue 50
    expect([...target]).toEqual([255, 114, 50, 255]);
  });
});

describe("colours of cells", () => {
  const box = (x: number, y: number, side: number): Bounds => [x, y, x + side, y + side];

  test("neighbours differ, also after edits, and a cell keeps its colour", () => {
    const next = random(2);
    const made = new CellColours();
    const side = 12;
    const grid = Array.from({ length: 900 }, (_, i) => ({
      id: 1 + ((i * 37) % 900),
      bounds: box((i % 30) * side, Math.floor(i / 30) * side, side),
    }));
    made.place(grid);
    const before = new Map(grid.map(({ id }) => [id, made.of(id)]));
    const gone = grid.filter(() => next() < 0.2);
    made.remove(gone.map(({ id }) => id));
    const added = gone.map(({ bounds }, i) => ({ id: 1000 + i, bounds }));
    made.place(added);
    const stayed = grid.filter((cell) => !gone.includes(cell));
    for (const { id } of stayed) expect(made.of(id)).toBe(before.get(id));
    const all = [...stayed, ...added];
    for (const a of all) {
      for (const b of all) {
        const near = a !== b && Math.abs(a.bounds[0] - b.bounds[0]) <= side && Math.abs(a.bounds[1] - b.bounds[1]) <= side;
        if (near) expect(made.of(a.id), `${a.id} and ${b.id}`).not.toBe(made.of(b.id));
      }
    }
  });

  test("a cell that grew next to another keeps its colour, and a new one there gets a third", () => {
    const made = new CellColours();
    made.place([
      { id: 1, bounds: box(0, 0, 10) },
      { id: 11, bounds: box(500, 0, 10) },
    ]);
    expect(made.of(1)).toBe(made.of(11)); // far apart: 7 and 77 are the same of ten
    made.place([{ id: 1, bounds: [0, 0, 499, 10] }]);
    made.place([{ id: 21, bounds: box(499, 12, 5) }]);
    expect(made.of(21)).not.toBe(made.of(1));
  });

  test("pixels have the colour's bytes in the order of a canvas", () => {
    for (const colour of colours) {
      const [r, g, b, a] = new Uint8Array(Uint32Array.of(pixelOf(colour)).buffer);
      expect(`#${[r, g, b].map((part) => (part as number).toString(16).padStart(2, "0")).join("")}`).toBe(colour);
      expect(a).toBe(255);
    }
  });
});

describe("a tile of labels", () => {
  // 1 1 2
  // 1 1 2
  // 0 3 3
  const tile = { ids: Uint32Array.from([1, 1, 2, 1, 1, 2, 0, 3, 3]), width: 3, height: 3 };

  test("areas have the cells' colours, outlines their pixels beside others", () => {
    const [areas, outlines] = [new Uint32Array(9), new Uint32Array(9)];
    paint(tile, (id) => 10 * id, areas, outlines);
    expect([...areas]).toEqual([10, 10, 20, 10, 10, 20, 0, 30, 30]);
    expect([...outlines]).toEqual([0, 10, 20, 10, 10, 20, 0, 30, 30]);
  });

  test("borders are straight pieces, as long as they can be", () => {
    expect(borders(tile, 1, (id) => (id === 1 ? 0 : -1))).toEqual([
      [
        [0, 2, 2, 2],
        [2, 0, 2, 2],
      ],
    ]);
    // Between two groups the left or upper cell has the line.
    expect(borders(tile, 4, (id) => id)).toEqual([
      [],
      [
        [0, 2, 2, 2],
        [2, 0, 2, 2],
      ],
      [[2, 2, 3, 2]],
      [[1, 2, 1, 3]],
    ]);
  });

  test("they are as long as there are pairs of pixels of two cells", () => {
    const next = random(3);
    const [width, height] = [23, 17];
    const ids = Uint32Array.from({ length: width * height }, () => Math.floor(4 * next()));
    let pairs = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const id = ids[y * width + x];
        if (x + 1 < width && id !== ids[y * width + x + 1]) pairs++;
        if (y + 1 < height && id !== ids[(y + 1) * width + x]) pairs++;
      }
    }
    const all = borders({ ids, width, height }, 4, (id) => id).flat();
    const length = all.reduce((sum, [x0, y0, x1, y1]) => sum + x1 - x0 + y1 - y0, 0);
    expect(length).toBe(pairs);
  });
});

describe("the cache of tiles", () => {
  const settled = () => new Promise((done) => setImmediate(done));

  function cacheOf(parallel: number) {
    const asked: string[] = [];
    const answers = new Map<string, { resolve: (tile: string) => void; reject: (error: Error) => void; signal: AbortSignal }>();
    const changed = vi.fn();
    const cache = new TileCache<string>(parallel, changed);
    const want = (...keys: string[]) =>
      cache.want(
        keys.map((key) => ({
          key,
          load: (signal: AbortSignal) => {
            asked.push(key);
            return new Promise<string>((resolve, reject) => answers.set(key, { resolve, reject, signal }));
          },
        })),
        2,
      );
    return {
      cache,
      want,
      asked,
      changed,
      answer: (key: string) => answers.get(key) as NonNullable<ReturnType<typeof answers.get>>,
    };
  }

  test("loads the first ones first, a few at once", async () => {
    const { cache, want, asked, answer } = cacheOf(2);
    want("a", "b", "c");
    expect(asked).toEqual(["a", "b"]);
    answer("a").resolve("A");
    await settled();
    want("a", "b", "c");
    expect(asked).toEqual(["a", "b", "c"]);
    expect(cache.get("a")).toBe("A");
  });

  test("gives up what is no longer wanted", async () => {
    const { cache, want, answer } = cacheOf(2);
    want("a");
    want("b");
    expect(answer("a").signal.aborted).toBe(true);
    answer("a").resolve("A");
    await settled();
    expect(cache.get("a")).toBeUndefined();
  });

  test("an old tile is there until its successor is", async () => {
    const { cache, want, answer, asked } = cacheOf(2);
    want("a");
    answer("a").resolve("old");
    await settled();
    cache.invalidate((key) => key === "a");
    expect([cache.get("a"), cache.isFresh("a")]).toEqual(["old", false]);
    want("a");
    expect(asked).toEqual(["a", "a"]);
    answer("a").resolve("new");
    await settled();
    expect([cache.get("a"), cache.isFresh("a")]).toEqual(["new", true]);
  });

  test("what failed is asked for again later", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      const { want, answer, asked, changed } = cacheOf(2);
      want("a");
      answer("a").reject(new Error("no server"));
      await settled();
      want("a");
      expect(asked).toEqual(["a"]);
      changed.mockClear();
      vi.runAllTimers();
      expect(changed).toHaveBeenCalled();
      want("a");
      expect(asked).toEqual(["a", "a"]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("forgets those that were wanted longest ago", async () => {
    const { cache, want, answer } = cacheOf(9);
    for (const key of ["a", "b", "c", "d"]) {
      want(key);
      answer(key).resolve(key);
      await settled();
    }
    want("a", "d"); // keeps six at most
    want("e"); // and three
    expect(["a", "b", "c", "d"].map((key) => cache.get(key) !== undefined)).toEqual(
      [true, false, true, true].map((_, i) => i !== 1),
    );
  });
});

describe("keys", () => {
  const pressed = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "altKey" | "shiftKey", boolean>> = {}) =>
    keyOf({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

  test("are named without Shift where it only makes the sign", () => {
    expect(pressed("v")).toBe("V");
    expect(pressed("A", { shiftKey: true })).toBe("Shift+A");
    expect(pressed("?", { shiftKey: true })).toBe("?");
    expect(pressed("z", { metaKey: true, shiftKey: true })).toBe("Ctrl+Shift+Z");
    expect(pressed(" ", { shiftKey: true })).toBe("Shift+Space");
    expect(pressed("ArrowUp")).toBe("ArrowUp");
  });

  test("each does one thing", () => {
    const all = Object.values(keymap).flatMap((bindings) => bindings.flatMap(({ keys }) => [...keys] as string[]));
    expect(new Set(all).size).toBe(all.length);
    expect(commandOf("Ctrl+Y")).toBe("redo");
    expect(commandOf("Q")).toBeUndefined();
  });
});

test("addresses lead to what they were made of, whatever a run is called", () => {
  const routes = [
    { page: "image", image: 3 },
    { page: "image", image: null },
    { page: "runs", run: null },
    { page: "runs", run: "a/b#c%20 d" },
    { page: "compare", a: "run 1", b: "../run-2" },
  ] as const;
  for (const route of routes) expect(parseRoute(addressOf(route))).toEqual(route);
  expect(parseRoute("#image/x")).toEqual({ page: "image", image: null });
  expect(parseRoute("#runs/%")).toEqual({ page: "runs", run: "%" });
  expect(parseRoute("#compare/a")).toEqual({ page: "image", image: null });
});

describe("curves", () => {
  const epoch = (fold: number, more: Partial<Epoch>): Epoch => ({
    ...{ fold, stage: 1, epoch: 1, epochs: 1, seconds: 1, lr: 0.1, train: {}, validation: null, scores: null, improved: false },
    ...more,
  });
  const losses = (fold: number, loss: number, validation: number | null) =>
    epoch(fold, { train: { total_loss: loss }, validation: validation === null ? null : { total_loss: validation } });
  const scored = (fold: number, f1: number | null) => epoch(fold, { scores: { f1 } });

  test("of losses are not joined from one fold to the next", () => {
    expect(lossCurves([losses(1, 5, 6), losses(1, 4, 5), losses(2, 9, null), losses(2, 8, 7)])).toEqual({
      x: [1, 2, 2.5, 3, 4],
      training: [5, 4, null, 9, 8],
      validation: [6, 5, null, null, 7],
      best: 7,
    });
  });

  test("of F1 begin before the training, and have the epochs that were evaluated", () => {
    const epochs = [epoch(1, {}), scored(1, 0.5), epoch(1, {}), scored(1, 0.75), scored(1, 0.25)];
    expect(scoreCurve(epochs, 0.4)).toEqual({ x: [0, 2, 4, 5], f1: [0.4, 0.5, 0.75, 0.25], last: 0.25, best: 0.75 });
    expect(scoreCurve([scored(1, 0.5), scored(2, 0.25)], null)).toMatchObject({ x: [1, 1.5, 2], f1: [0.5, null, 0.25] });
    expect(scoreCurve([epoch(1, {}), scored(1, null)], null)).toEqual({ x: [], f1: [], last: null, best: null });
  });
});

test("numbers as people read them", () => {
  expect([bytes(393 * 2 ** 20), bytes(1.5 * 2 ** 30)]).toEqual(["393 MB", "1.5 GB"]);
  expect([counted(1, "cell"), counted(12345, "cell")]).toEqual(["1 cell", "12,345 cells"]);
  expect([duration(5.4), duration(65), duration(7260)]).toEqual(["5 s", "1 min 5 s", "2 h 1 min"]);
});

test("docs/studio.md has the keys", async () => {
  const table = Object.entries(keymap).map(([group, bindings]) => {
    const rows = bindings.map(({ keys, does }) => `| ${keys.map((key) => `\`${shown(key)}\``).join(" ")} | ${does} |`);
    return [`| ${group} | |`, "|---|---|", ...rows].join("\n");
  });
  expect(await readFile(new URL("../../docs/studio.md", import.meta.url), "utf8")).toContain(table.join("\n\n"));
});
