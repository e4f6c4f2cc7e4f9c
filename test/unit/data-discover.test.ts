import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "fast-png";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkDataset } from "../../lib/data/check.js";
import { discover } from "../../lib/data/discover.js";
import { writeLabels } from "../../lib/data/write.js";
import type { CellsamError } from "../../lib/errors.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-discover-"));
});
afterEach(() => rm(root, { recursive: true }));

async function touch(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(root, name, ".."), { recursive: true });
    await writeFile(join(root, name), "x");
  }
}

const both = () => discover({ imgPath: join(root, "images"), maskPath: join(root, "masks") });
const codes = (problems: { code: string; path: string }[]) => problems.map(({ code, path }) => `${code} ${basename(path)}`);

describe("discover", () => {
  it("D41, D59: pairs by stem, with suffixes, any mixture of extensions and cases", async () => {
    await touch("images/a.png", "images/b.TIF", "images/c.npy", "images/d_mask.png", "images/e.ome.tif", "images/f.x.jpeg");
    await touch(
      "masks/a.npy",
      "masks/b_masks.png",
      "masks/c_Label.tiff",
      "masks/d_mask.PNG",
      "masks/e.png",
      "masks/f.x_seg.npy",
    );
    const { pairs, problems } = await both();
    expect(problems).toEqual([]);
    expect(pairs.map(({ source, image, mask }) => [source, basename(image), basename(mask ?? "")])).toEqual([
      ["a", "a.png", "a.npy"],
      ["b", "b.TIF", "b_masks.png"],
      ["c", "c.npy", "c_Label.tiff"],
      ["d_mask", "d_mask.png", "d_mask.PNG"],
      ["e", "e.ome.tif", "e.png"],
      ["f.x", "f.x.jpeg", "f.x_seg.npy"],
    ]);
  });

  it("lists every unmatched, doubled and unreadable file at once", async () => {
    await touch(
      "images/alone.png",
      "images/twice.png",
      "images/twice.tif",
      "images/many.png",
      "images/old.gif",
      "images/ok.png",
    );
    await touch("masks/ok.png", "masks/twice.png", "masks/many.png", "masks/many_mask.png", "masks/stray.png", "masks/x.npz");
    const { pairs, problems } = await both();
    expect(pairs.map(({ source }) => source)).toEqual(["ok"]);
    expect(codes(problems)).toEqual([
      "ERR_NO_MASK alone.png",
      "ERR_IMAGE_UNSUPPORTED old.gif",
      "ERR_DUPLICATE_IMAGE twice.png",
      "ERR_DUPLICATE_IMAGE twice.tif",
      "ERR_DUPLICATE_MASK many.png",
      "ERR_DUPLICATE_MASK many_mask.png",
      "ERR_NO_IMAGE stray.png",
      "ERR_NO_IMAGE x.npz",
    ]);
    for (const { fix } of problems) expect(fix).not.toBe("");
  });

  it("works in one folder by suffix", async () => {
    await touch("all/a.png", "all/a_masks.tif", "all/b.png", "all/b_mask.png", "all/c.png");
    const { pairs, problems } = await discover({ imgPath: join(root, "all"), maskPath: `${join(root, "all")}/` });
    expect(pairs.map(({ image, mask }) => [basename(image), basename(mask ?? "")])).toEqual([
      ["a.png", "a_masks.tif"],
      ["b.png", "b_mask.png"],
    ]);
    expect(codes(problems)).toEqual(["ERR_NO_MASK c.png"]);
  });

  it("ignores hidden and other files, and names those it ignored", async () => {
    await touch(
      "images/a.png",
      "images/.DS_Store",
      "images/._a.png",
      "images/notes.txt",
      "images/sub/z.png",
      "masks/a.png",
      "masks/Thumbs.db",
    );
    const { pairs, problems, ignored } = await both();
    expect([pairs.length, problems.length]).toEqual([1, 0]);
    expect(ignored.map((path) => basename(path)).sort()).toEqual(["Thumbs.db", "notes.txt", "sub"]);
  });

  it("sorts by bytes and pairs composed with decomposed names", async () => {
    await touch(
      "images/b.png",
      "images/Z.png",
      "images/e\u0301.png",
      "images/a.png",
      "masks/b.png",
      "masks/Z.png",
      "masks/\u00e9.png",
      "masks/a.png",
    );
    const { pairs, problems } = await both();
    expect(problems).toEqual([]);
    expect(pairs.map(({ source }) => source)).toEqual(["Z", "a", "b", "\u00e9"]);
  });

  it("needs no masks to predict, and takes single files", async () => {
    await touch("images/a.png", "images/b.png", "masks/other.png");
    expect((await discover({ imgPath: join(root, "images") })).pairs).toHaveLength(2);
    expect((await discover({ imgPath: join(root, "images/a.png") })).pairs).toEqual([
      { source: "a", image: join(root, "images/a.png") },
    ]);
    const single = await discover({ imgPath: join(root, "images/a.png"), maskPath: join(root, "masks/other.png") });
    expect(single.pairs[0]?.mask).toBe(join(root, "masks/other.png"));
    expect(single.problems).toEqual([]);
  });

  it("reports missing and empty folders, and folders named like pictures", async () => {
    expect(codes((await both()).problems)).toEqual(["ERR_PATH images", "ERR_PATH masks"]);
    await mkdir(join(root, "images/x.png"), { recursive: true });
    await mkdir(join(root, "masks"));
    expect(codes((await both()).problems)).toEqual(["ERR_PATH x.png"]);
    await rm(join(root, "images/x.png"), { recursive: true });
    expect(codes((await both()).problems)).toEqual(["ERR_NO_DATA images"]);
  });

  it("names a missing or empty side once, and not again for every file of the other", async () => {
    await touch("images/a.png", "images/b.png");
    expect(codes((await both()).problems)).toEqual(["ERR_PATH masks"]);
    await touch("masks/notes.txt");
    const [empty, ...rest] = (await both()).problems;
    expect(rest).toEqual([]);
    expect(empty).toMatchObject({
      code: "ERR_NO_DATA",
      path: join(root, "masks"),
      message: "holds no mask; it holds 1 file of type .txt",
    });
    expect(empty?.fix).toContain("a_masks.png");
    await rm(join(root, "images"), { recursive: true });
    await touch("masks/a.png", "masks/b.png");
    expect(codes((await both()).problems)).toEqual(["ERR_PATH images"]);
    await mkdir(join(root, "images"));
    expect(codes((await both()).problems)).toEqual(["ERR_NO_DATA images"]);
  });

  it("says why a JPEG of the right name is no mask", async () => {
    await touch("images/a.jpg", "images/b.png", "images/c.png", "masks/a.JPG", "masks/b_mask.jpeg", "masks/d.jpg");
    const { problems } = await both();
    expect(codes(problems)).toEqual(["ERR_NO_MASK a.jpg", "ERR_NO_MASK b.png", "ERR_NO_MASK c.png"]);
    expect(problems[0]?.message).toBe(`has no mask but ${join(root, "masks/a.JPG")}, and JPEG does not preserve label ids`);
    expect(problems[1]?.message).toContain("b_mask.jpeg");
    expect(problems[2]?.message).toBe("has no mask");
  });

  it("does not read single extensions that the caller leaves out", async () => {
    await touch("images/a.png", "images/a.jpg", "masks/a.png");
    const options = { imgPath: join(root, "images"), maskPath: join(root, "masks") };
    expect((await discover({ ...options, imageExtensions: [".png"] })).pairs).toHaveLength(1);
    expect(codes((await discover(options)).problems)).toEqual(["ERR_DUPLICATE_IMAGE a.jpg", "ERR_DUPLICATE_IMAGE a.png"]);
  });
});

async function pair(stem: string, ids: number[], [height, width]: [number, number] = [2, 3]) {
  await mkdir(join(root, "images"), { recursive: true });
  await writeFile(
    join(root, `images/${stem}.png`),
    encode({ width: 3, height: 2, channels: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) }),
  );
  await writeLabels(join(root, `masks/${stem}.png`), { data: Int32Array.from(ids), shape: [height, width] });
}

describe("checkDataset", () => {
  it("counts cells, and accepts an empty field beside a full one", async () => {
    await pair("a", [0, 1, 1, 0, 9, 300]);
    await pair("b", [0, 0, 0, 0, 0, 0]);
    const { pairs } = await both();
    const seen: number[] = [];
    const result = await checkDataset(pairs, { onProgress: (done) => seen.push(done) });
    expect(result.cells).toBe(3);
    expect(result.pairs).toMatchObject([
      { source: "a", height: 2, width: 3, channels: 1, dtype: "uint8", cells: 3 },
      { source: "b", cells: 0 },
    ]);
    expect(seen).toEqual([1, 2]);
  });

  it("reports everything that is wrong in one error", async () => {
    await pair("fine", [0, 1, 1, 0, 9, 300]);
    await pair("size", [0, 1, 1, 0], [2, 2]);
    await pair("tall", [0, 1, 1, 0, 2, 2, 0, 0, 0], [3, 3]);
    await pair("binary", [0, 255, 255, 0, 0, 255]);
    await pair("both", [0, 1, 1, 0, 0, 1]);
    await writeFile(join(root, "images/both.png"), "no picture");
    await writeFile(join(root, "masks/both.png"), "");
    // On Windows it takes a right of its own to make a link.
    const links = process.platform !== "win32";
    if (links) {
      await pair("loop", [0, 1, 1, 0, 0, 1]);
      await rm(join(root, "images/loop.png"));
      await symlink("loop.png", join(root, "images/loop.png"));
    }
    await touch("images/alone.png");
    const found = await both();
    const error = await checkDataset(found.pairs, { problems: found.problems }).then(
      () => undefined,
      (reason: CellsamError) => reason,
    );
    expect(error?.code).toBe("ERR_DATASET");
    expect(codes(error?.detail.problems as never)).toEqual([
      "ERR_NO_MASK alone.png",
      "ERR_LABEL_VALUES binary.png",
      "ERR_IMAGE_BROKEN both.png",
      "ERR_IMAGE_BROKEN both.png",
      ...(links ? ["ERR_FILE loop.png"] : []),
      "ERR_SIZE_MISMATCH size.png",
      "ERR_SIZE_MISMATCH tall.png",
    ]);
    expect(error?.message).toContain(links ? "7 problems" : "6 problems");
    expect(error?.message).toContain("2 x 2 pixels");
    expect(error?.message).not.toContain("fine.png");
  });

  it("labels binary masks when asked, and refuses a set without any cell", async () => {
    await pair("a", [255, 0, 255, 255, 0, 0]);
    const { pairs } = await both();
    expect((await checkDataset(pairs, { binaryMasks: true })).cells).toBe(2);
    await pair("a", [0, 0, 0, 0, 0, 0]);
    await expect(checkDataset(pairs)).rejects.toThrow(/no mask holds a cell/);
  });

  it("stops when asked", async () => {
    await pair("a", [1, 0, 1, 1, 0, 0]);
    const { pairs } = await both();
    await expect(checkDataset(pairs, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });
});

const VARIETY = fileURLToPath(new URL("../../../shared/data/variety/", import.meta.url));
if (!existsSync(VARIETY)) console.warn(`SKIPPED: ${VARIETY} is not there, so real microscopy images are not checked`);
describe.skipIf(!existsSync(VARIETY))("microscopy images of many kinds", () => {
  it("are read with the sizes and cell counts of their index; two-channel ones are refused", async () => {
    const index: { image: string; axes: string; dtype: string; shape: number[]; n_objects: number }[] = JSON.parse(
      readFileSync(join(VARIETY, "index.json"), "utf8"),
    );
    const { pairs, problems } = await discover({ imgPath: join(VARIETY, "images"), maskPath: join(VARIETY, "masks") });
    const wanted = new Map(index.map((entry) => [entry.image, entry]));
    expect(problems).toEqual([]);
    for (const one of pairs) {
      const want = wanted.get(basename(one.image));
      if (want?.axes === "CYX") {
        await expect(checkDataset([one])).rejects.toThrow(/pages|channels/);
        continue;
      }
      const {
        pairs: [got],
      } = await checkDataset([one]);
      expect([[got?.height, got?.width], got?.dtype, got?.cells]).toEqual([want?.shape, want?.dtype, want?.n_objects]);
    }
    expect(pairs.length).toBe(index.length);
  });
});
