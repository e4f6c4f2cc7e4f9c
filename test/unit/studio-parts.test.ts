// Parts of studio's server: levels and tiles against sums over pixels, what stays in memory, and what is corrected next.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { NdImage } from "../../lib/data/image.js";
import { Random } from "../../lib/data/random.js";
import { Cache } from "../../lib/studio/cache.js";
import { acceptedEncoding } from "../../lib/studio/compressed.js";
import { Jobs } from "../../lib/studio/jobs.js";
import { largestParts, meantPieces, type Piece } from "../../lib/studio/meantPieces.js";
import { ranks } from "../../lib/studio/next.js";
import { channelFacts, Pyramid } from "../../lib/studio/pyramid.js";
import { RunFiles } from "../../lib/studio/runFiles.js";
import { maskRows, runLengthsOf } from "../../lib/studio/runLengths.js";
import { givenToken, SignIn } from "../../lib/studio/signIn.js";
import { labelTile, pixelTile } from "../../lib/studio/tiles.js";

const [height, width] = [701, 1203];

function image(dtype: NdImage["dtype"], channels: number): NdImage {
  const random = new Random(channels);
  const make = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array }[dtype];
  const top = { uint8: 255, uint16: 65535, float32: 1 }[dtype];
  const data = new make(height * width * channels).map(() => random.uniform(0, top));
  return { data, dtype, shape: channels === 1 ? [height, width] : [height, width, 3], notes: [] };
}

describe("a pyramid", () => {
  it.each([
    ["uint8", 3],
    ["uint16", 1],
    ["float32", 1],
  ] as const)("has means of 2 x 2 pixels of %s, with %i channels", async (dtype, channels) => {
    const given = image(dtype, channels);
    const pyramid = new Pyramid(given);
    expect(pyramid.levels).toEqual([
      { width: 1203, height: 701, columns: 3, rows: 2 },
      { width: 602, height: 351, columns: 2, rows: 1 },
      { width: 301, height: 176, columns: 1, rows: 1 },
    ]);
    expect(await pyramid.level(3)).toBeUndefined();
    const levels = await Promise.all([2, 0, 1].map((number) => pyramid.level(number)));
    const [coarse, full, half] = levels as [Level, Level, Level];
    expect(full.data).toBe(given.data);
    for (const [finer, own] of [
      [full, half],
      [half, coarse],
    ] as const) {
      const random = new Random(1);
      for (let i = 0; i < 500; i++) {
        const edge = i % 5 === 0;
        const [x, y] = [edge ? own.width - 1 : random.integer(0, own.width - 1), random.integer(0, own.height - 1)];
        const c = random.integer(0, channels - 1);
        const at = (dx: number, dy: number) =>
          finer.data[
            (Math.min(2 * y + dy, finer.height - 1) * finer.width + Math.min(2 * x + dx, finer.width - 1)) * channels + c
          ] as number;
        const mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4;
        const value = own.data[(y * own.width + x) * channels + c] as number;
        expect(value).toBeCloseTo(dtype === "float32" ? mean : Math.floor(mean + 0.5), 5);
      }
    }
  });

  it("begins with the contrast of the percentiles 0.1 and 99.9, and with 8-bit colours as they are", () => {
    const data = Uint16Array.from({ length: 10_000 }, (_, i) => i);
    const [grey] = channelFacts({ data, dtype: "uint16", shape: [100, 100], notes: [] });
    expect(grey).toEqual({ name: "grey", min: 0, max: 9999, low: 10, high: 9989, color: "ffffff" });
    expect(channelFacts(image("uint8", 3)).map(({ low, high }) => [low, high])).toEqual(Array(3).fill([0, 255]));
  });
});

type Level = NonNullable<Awaited<ReturnType<Pyramid["level"]>>>;

describe("a tile", () => {
  it("is cut where the image ends, and adds the colours of its channels", async () => {
    const given = image("uint8", 3);
    const level = (await new Pyramid(given).level(0)) as Level;
    const shown = [
      { channel: 0, low: 50, high: 150, color: [255, 0, 0] },
      { channel: 2, low: 0, high: 255, color: [0, 100, 200] },
    ] as const;
    const tile = (await pixelTile(level, 3, [2, 1], shown, "png")) as Buffer;
    const { data, info } = await sharp(tile).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([1203 - 1024, 701 - 512, 3]);
    for (const [x, y] of [
      [0, 0],
      [100, 80],
      [178, 188],
    ] as const) {
      const from = ((512 + y) * width + 1024 + x) * 3;
      const red = (Math.min(150, Math.max(50, given.data[from] as number)) - 50) * 2.55;
      const share = (given.data[from + 2] as number) / 255;
      const own = [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)];
      for (const [i, value] of [red, 100 * share, 200 * share].entries()) expect(own[i]).toBeCloseTo(value, -0.5);
    }
    expect(await pixelTile(level, 3, [3, 0], shown, "png")).toBeNull();
  });

  it("has the ids at the middle of the pixels that it stands for", () => {
    const data = Int32Array.from({ length: height * width }, (_, i) => i + 1);
    const tile = labelTile({ data, width, height }, 2, [0, 0]) as Buffer;
    const ids = new Uint32Array(tile.buffer, tile.byteOffset, tile.length / 4);
    expect(ids.length).toBe(301 * 176);
    expect(ids[10 * 301 + 20]).toBe((10 * 4 + 2) * width + 20 * 4 + 2 + 1);
    // The last row and column stand for less than 4 pixels.
    expect(ids.at(-1)).toBe(height * width);
    expect(labelTile({ data, width, height }, 3, [0, 0])).toBeNull();
  });
});

describe("run lengths", () => {
  it("are those of a mask, and come back as its rows", () => {
    const mask = [0, 1, 1, 1, 1, 0];
    expect(runLengthsOf(mask)).toEqual([1, 4, 1]);
    expect(runLengthsOf([1, 0])).toEqual([0, 1, 1]);
    const rows: number[][] = [];
    maskRows([5, 7, 8, 9], runLengthsOf(mask), (...row) => rows.push(row));
    expect(rows).toEqual([
      [7, 6, 8],
      [8, 5, 7],
    ]);
  });
});

describe("the cache", () => {
  const of = (bytes: number) => async () => ({ value: { bytes }, bytes });

  it("forgets what was not used for longest, never the last one", async () => {
    const gone: number[] = [];
    const cache = new Cache<{ bytes: number }>(10, { dispose: async ({ bytes }) => void gone.push(bytes) });
    await cache.get("a", of(4));
    await cache.get("b", of(5));
    await cache.get("a", of(0));
    await cache.get("c", of(3));
    await new Promise(setImmediate);
    expect(gone).toEqual([5]);
    await cache.get("d", of(99));
    await new Promise(setImmediate);
    expect([gone, cache.values()]).toEqual([[5, 4, 3], [{ bytes: 99 }]]);
  });

  it("keeps what may not go, and what is used while it is made ready", async () => {
    const own = { name: "own", busy: true };
    let ready: () => void = () => undefined;
    const cache = new Cache<{ name: string; busy: boolean }>(5, {
      prepare: () => new Promise<void>((done) => (ready = done)),
      mayGo: (value) => !value.busy,
    });
    const load = (name: string) => async () => ({ value: { name, busy: false }, bytes: 5 });
    await cache.get("own", async () => ({ value: own, bytes: 5 }));
    await cache.get("b", load("b"));
    ready();
    await new Promise(setImmediate);
    expect(cache.peek("own")).toBe(own);
    own.busy = false;
    await cache.get("c", load("c"));
    expect(await cache.get("own", load("new"))).toBe(own);
    ready();
    await new Promise(setImmediate);
    expect(cache.peek("own")).toBe(own);
  });

  it("loads a value once for all that ask", async () => {
    let loads = 0;
    const cache = new Cache<number>(10);
    const load = async () => ({ value: ++loads, bytes: 1 });
    expect(await Promise.all([cache.get("a", load), cache.get("a", load)])).toEqual([1, 1]);
  });
});

describe("pieces of a proposal", () => {
  // Pieces of 2, 4 and 1 pixels; the last two share a corner.
  const drawn = ["##...", ".....", "..##.", "..##.", "....#"];
  const proposed: Piece = {
    mask: Uint8Array.from(drawn.join(""), (pixel) => (pixel === "#" ? 1 : 0)),
    bounds: [10, 20, 15, 25],
  };
  const shown = ({ mask, bounds: [x0, , x1] }: Piece) =>
    (mask.join("").match(new RegExp(`.{${x1 - x0}}`, "g")) ?? []).join("/");
  const meant = (...points: [number, number][]) => meantPieces(proposed, points);

  it("are those that were clicked on", () => {
    expect(meant([11.9, 20])).toMatchObject({ bounds: [10, 20, 12, 21], mask: Uint8Array.of(1, 1) });
    expect(meant([14.5, 24.5])).toMatchObject({ bounds: [14, 24, 15, 25], mask: Uint8Array.of(1) });
    const two = meant([10.5, 20.5], [12.5, 22.5]);
    expect([two.bounds, shown(two)]).toEqual([[10, 20, 14, 24], "1100/0000/0011/0011"]);
  });

  it("are the largest one where no click lies on any", () => {
    for (const points of [[], [[14.5, 20.5]], [[9.5, 20.5]], [[15, 25]]] as [number, number][][])
      expect(meantPieces(proposed, points)).toMatchObject({ bounds: [12, 22, 14, 24], mask: Uint8Array.of(1, 1, 1, 1) });
  });

  it("keep their largest part each where neighbours have taken pixels between", () => {
    const pixels = (rows: string[]) => Uint8Array.from(rows.join(""), (pixel) => (pixel === "#" ? 1 : 0));
    const whole = pixels(["#####.##", "#####.##"]);
    const left = pixels(["##.##.##", "#..##.#."]); // a neighbour through the first piece, and one that takes a corner of the second
    expect(largestParts(whole, left, 2, 8)).toEqual(pixels(["...##.##", "...##.#."]));
    // A piece that is gone as a whole does not make up for one in two parts.
    expect(largestParts(whole, pixels(["##.##...", "#..##..."]), 2, 8)).toEqual(pixels(["...##...", "...##..."]));
    expect(largestParts(whole, whole, 2, 8)).toEqual(whole);
    expect(largestParts(whole, new Uint8Array(16), 2, 8)).toEqual(new Uint8Array(16));
  });

  it("leave a mask of one piece as it is, with its holes", () => {
    const ring: Piece = { mask: Uint8Array.of(1, 1, 1, 1, 0, 1, 1, 1, 1), bounds: [0, 0, 3, 3] };
    expect(meantPieces(ring, [[1.5, 1.5]])).toBe(ring);
  });
});

it("corrects next where two models disagree most, then where the score is lowest", () => {
  const none = { predicted: true, disagreement: null, score: null };
  const order = ranks([
    { ...none, id: 1, score: 0.9 },
    { ...none, id: 2, score: 0.3 },
    { ...none, id: 3 }, // no cell at all
    { ...none, id: 4, disagreement: 0.1, score: 0.2 },
    { ...none, id: 5, disagreement: 0.8, score: 0.9 },
    { ...none, id: 6, predicted: false },
  ]);
  expect([...order].sort((a, b) => a[1] - b[1]).map(([id]) => id)).toEqual([5, 4, 3, 2, 1]);
});

it("compresses for clients that say they can read it", () => {
  const large = 1e6;
  for (const yes of ["gzip", "br, gzip;q=0.5", "deflate,gzip"]) expect(acceptedEncoding(yes, large)).toBe("gzip");
  for (const no of [undefined, "", "br", "gzip;q=0", "br, gzip; q=0.0"]) expect(acceptedEncoding(no, large)).toBeNull();
  expect(acceptedEncoding("gzip", 100)).toBeNull();
});

it("lets the addresses of this machine in, and no name that only looks like one", () => {
  const signIn = new SignIn("node7.cluster");
  const ask = (host: string) => () => signIn.checkOrigin({ headers: { host } });
  for (const own of ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:80", "10.0.0.7:80", "node7.cluster:80"])
    expect(ask(own)).not.toThrow();
  for (const other of [
    "",
    "evil.example",
    "localhost.evil.example",
    "node7.cluster.evil.example",
    "127.0.0.1.nip.io",
    "a b",
    "[::1",
  ])
    expect(ask(other)).toThrow("does not answer for the host");
});

it("takes a token that is given, if nobody can guess it", () => {
  const tokenOf = (CELLSAM_STUDIO_TOKEN?: string) => givenToken({ CELLSAM_STUDIO_TOKEN });
  expect([tokenOf(), tokenOf("")]).toEqual([undefined, undefined]);
  const good = "abcdefghij-ABCDEFGHIJ_";
  expect(tokenOf(good)).toBe(good);
  expect(new SignIn("127.0.0.1", good).isToken(good)).toBe(true);
  for (const bad of ["secret", good.slice(1), `${good} `, `${good}&x=1`, `${good}é`])
    expect(() => tokenOf(bad)).toThrow(
      expect.objectContaining({ code: "ERR_CONFIG", message: expect.stringMatching(/openssl/) }),
    );
});

describe("jobs", () => {
  it("ends a job that waits as soon as it is cancelled, and never begins it", async () => {
    let release = () => {};
    const first = new Promise<void>((resolve) => {
      release = resolve;
    });
    const told: string[] = [];
    const jobs = new Jobs(({ run, state }) => told.push(`${run} ${state}`));
    const begun: string[] = [];
    jobs.start({ kind: "train", title: "", total: 1, run: "one" }, () => first);
    jobs.start({ kind: "train", title: "", total: 1, run: "two" }, async () => void begun.push("two"));
    expect([jobs.cancelRun("two"), jobs.cancelRun("two")]).toEqual([true, false]);
    expect(jobs.list()[1]).toMatchObject({ state: "cancelled", ended: expect.any(String) });
    release();
    await jobs.close();
    expect(begun).toEqual([]);
    expect(told.filter((text) => text.startsWith("two"))).toEqual(["two waiting", "two cancelled"]);
  });
});

describe("the files of a run", () => {
  it("may be removed while they are read, as a training does that tries whether it can write there", async () => {
    const root = await mkdtemp(join(tmpdir(), "cellsam-run-files-"));
    const run = new RunFiles(root, "run");
    const log = join(root, "run", "logs", "events.jsonl");
    await mkdir(dirname(log), { recursive: true });
    await writeFile(log, `${JSON.stringify({ type: "epoch", fold: 1, stage: 1, epoch: 1 })}\n`);
    await run.follow();
    expect(await run.row()).toMatchObject({ name: "run", done: 1 });
    await rm(root, { recursive: true });
    await run.follow();
    expect(await run.row()).toMatchObject({ name: "run", done: 0, weights: false });
  });
});
