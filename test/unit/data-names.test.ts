// Names and folders as other tools leave them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { zipSync } from "fflate";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadDataset } from "../../lib/data/dataset.js";
import { type DiscoverOptions, discover } from "../../lib/data/discover.js";
import { leftOut } from "../../lib/data/folder.js";
import { encodeNpy } from "../../lib/data/formats/npy.js";
import { disc, labels, picture, side, write } from "./drawn-objects.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-names-"));
});
afterEach(() => rm(root, { recursive: true }));

async function pair(files: string[] | Record<string, string | Uint8Array | object>, options: Partial<DiscoverOptions> = {}) {
  await write(root, Array.isArray(files) ? Object.fromEntries(files.map((name) => [name, "x"])) : files);
  const found = await discover({ imgPath: join(root, "images"), maskPath: join(root, "masks"), ...options });
  return {
    ...found,
    codes: found.problems.map(({ code, path }) => `${code} ${basename(path)}`),
    names: found.pairs.map(({ image, mask }) => `${basename(image)} ${basename(mask ?? "-")}`),
  };
}
const together = () => ({ imgPath: join(root, "images"), maskPath: join(root, "images") });

describe("extensions inside names", () => {
  it.each([
    ["f0.tif", "f0.tif_mask.png"],
    ["f0.png", "f0_mask.png.tif"],
    ["f0.ome.tif", "f0.ome.tif.png"],
    ["f0.jpg", "f0.jpg_cp_masks.png"],
    ["f0.png", "f0.svs.npy"],
    ["f0.x.png", "f0.x.png"],
  ])("%s and %s", async (image, mask) => {
    const { names, codes } = await pair([`images/${image}`, `masks/${mask}`]);
    expect([names, codes]).toEqual([[`${image} ${mask}`], []]);
  });

  it("an image of the whole name comes first", async () => {
    const { names, codes } = await pair(["images/f0.png", "images/f0.tif.png", "masks/f0.png", "masks/f0.tif.png"]);
    expect([names, codes]).toEqual([["f0.png f0.png", "f0.tif.png f0.tif.png"], []]);
  });
});

describe("images that end in _img", () => {
  it.each([
    ["000_img.png", "000_masks.png"],
    ["000_img.tif", "000_mask.tif"],
    ["000_image.png", "000_label.png"],
    ["000_img.png", "000_img_masks.png"],
  ])("%s and %s in one folder", async (image, mask) => {
    const { names, codes, pairs } = await pair([`images/${image}`, `images/${mask}`], together());
    expect([names, codes]).toEqual([[`${image} ${mask}`], []]);
    expect(pairs[0]?.source).toBe(image.slice(0, -4));
  });

  it("in two folders; two images that share the shorter name are not guessed", async () => {
    const { names } = await pair(["images/000_img.png", "images/001_img.png", "masks/000.png", "masks/001_masks.png"]);
    expect(names).toEqual(["000_img.png 000.png", "001_img.png 001_masks.png"]);
    await pair(["images/000_image.png"]);
    const { codes } = await pair([]);
    expect(codes).toContain("ERR_NO_IMAGE 000.png");
  });

  it("an image of the exact name wins", async () => {
    const { names, codes } = await pair(["images/a.png", "images/a_img.png", "masks/a.png", "masks/a_img.png"]);
    expect([names, codes]).toEqual([["a.png a.png", "a_img.png a_img.png"], []]);
  });
});

describe("what Cellpose writes", () => {
  const ids = [1, 2, 3, 4, 5];
  const array = (map: (id: number) => number) => {
    const data = new Int32Array(side * side);
    for (const [i, id] of ids.entries()) {
      for (let row = 0; row < 4; row++) data.fill(map(id), row * side + 8 * i, row * side + 8 * i + 4);
    }
    return encodeNpy(data, [side, side]);
  };
  const all = (seg: Uint8Array) => ({
    "images/f0.tif": picture(),
    "images/f0_cp_masks.png": labels(ids),
    "images/f0_seg.npy": seg,
    "images/f0_flows.tif": "x",
    "images/f0_cp_output.png": "x",
    "images/f0_cp_outlines.txt": "1,2,3,4,5,6\n",
    "images/f0_rois.zip": zipSync({ "1.roi": Buffer.alloc(64, "Iout") }),
  });

  it("all of it in one folder: companions are left out with a note, the same cells are no conflict", async () => {
    // Renumbered ids are the same cells.
    const { names, codes, notes, ignored } = await pair(all(array((id) => 10 - id)), together());
    expect([names, codes]).toEqual([["f0.tif f0_seg.npy"], []]);
    expect(notes).toEqual(
      [
        "files that Cellpose writes beside its masks, left out: 3 (f0_flows.tif, f0_cp_output.png, f0_cp_outlines.txt, ...)",
        "masks that other files of the same cells repeat, of which _seg.npy was taken: 1 (f0_seg.npy)",
      ].map((note) => expect.stringContaining(note.slice(0, 50))),
    );
    expect(ignored.map((path) => basename(path)).sort()).toEqual([
      "f0_cp_masks.png",
      "f0_cp_outlines.txt",
      "f0_cp_output.png",
      "f0_flows.tif",
      "f0_rois.zip",
    ]);
  });

  it("masks that differ are refused with the setting that chooses", async () => {
    const { codes, problems } = await pair(all(array((id) => (id === 5 ? 4 : id))), together());
    expect(codes).toEqual(["ERR_DUPLICATE_MASK f0_cp_masks.png", "ERR_DUPLICATE_MASK f0_seg.npy"]);
    expect(problems[0]?.message).toMatch(/differ \(5 and 4 cells\)|differ \(4 and 5 cells\)/);
    expect(problems[0]?.fix).toMatch(/annotation_format: (label_images or cellpose|cellpose or label_images)/);
    for (const [annotationFormat, mask] of [
      ["cellpose", "f0_seg.npy"],
      ["label_images", "f0_cp_masks.png"],
    ] as const) {
      const chosen = await pair([], { ...together(), annotationFormat });
      expect([chosen.names, chosen.codes]).toEqual([[`f0.tif ${mask}`], []]);
    }
  });

  it("to predict, neither companions nor masks beside the images are images, and they are named", async () => {
    await write(root, all(array((id) => id)));
    await write(root, { "images/g_img.png": picture(), "images/g_masks.png": labels(ids), "images/f0_x.png": picture() });
    const { pairs, notes, ignored } = await discover({ imgPath: join(root, "images") });
    expect(pairs.map(({ source }) => source)).toEqual(["f0", "f0_x", "g_img"]);
    expect(notes.join("\n")).toMatch(/masks beside the images, which are no images: 3 /);
    expect(await leftOut(ignored)).toBe("1 file of type .zip");
  });
});

describe("TIFF by other names", () => {
  it.each([["f0.lsm"], ["f0.ome.btf"], ["f0.stk"], ["f0.tf8"], ["f0.flex"], ["f0.TF2"]])("%s is an image", async (name) => {
    const { names, codes, pairs } = await pair([`images/${name}`, "masks/f0.png"]);
    expect([names, codes, pairs[0]?.source]).toEqual([[`${name} f0.png`], [], "f0"]);
  });
});

describe("folders without the files that are looked for", () => {
  it("subfolders with images are named, and how to give them", async () => {
    const { problems } = await pair(["images/train/f0.png", "images/train/f1.png", "images/val/f0.png", "masks/f0.png"]);
    expect(problems).toMatchObject([
      {
        code: "ERR_NO_DATA",
        path: join(root, "images"),
        message:
          "holds no image; it holds the subfolders train (2 files that can be read), val (1 file that can be read), not searched",
        fix: expect.stringMatching(/train as img_path.*additional_datasets/),
      },
    ]);
  });

  it("files of types that are no masks are counted", async () => {
    const { problems } = await pair(["images/f0.png", "masks/f0.svg", "masks/f1.svg", "masks/readme", "masks/deep/f0.png"]);
    expect(problems).toMatchObject([
      {
        code: "ERR_NO_DATA",
        message:
          "holds no mask; it holds 2 files of type .svg, 1 file without a type, and the subfolder deep (1 file that can be read), not searched",
        fix: expect.stringContaining("deep as mask_path"),
      },
    ]);
  });
});

describe("COCO lists with folders in their names", () => {
  const coco = (...names: string[]) => ({
    images: names.map((file_name, id) => ({ id, file_name, width: side, height: side })),
    annotations: names.map((_, id) => ({ id: 10 + id, image_id: id, segmentation: [disc(20 + 10 * id, 20, 6)] })),
  });

  it("each folder of images takes its own part", async () => {
    const files = {
      "images/train/f0.png": picture(),
      "images/train/f1.png": picture(),
      "images/val/f0.png": picture(),
      "images/val/f2.png": picture(),
    };
    const list = coco("train/f0.png", "train/f1.png", "val/f0.png", "val\\f2.png");
    const maskPath = join(root, "all.json");
    const train = await pair({ ...files, "all.json": list }, { imgPath: join(root, "images/train"), maskPath });
    expect(train.codes).toEqual([]);
    expect(train.pairs.map(({ source, item }) => [source, item])).toEqual([
      ["f0", "train/f0.png"],
      ["f1", "train/f1.png"],
    ]);
    expect(train.notes).toEqual([expect.stringMatching(/in other folders, left out: 1 \(val\\f2.png\)/)]);
    const { pairs } = await loadDataset({
      imgPath: join(root, "images/train"),
      maskPath,
      additionalDatasets: [{ imgPath: join(root, "images/val"), maskPath }],
    });
    expect(pairs.map(({ item, cells }) => [item, cells])).toEqual([
      ["train/f0.png", 1],
      ["train/f1.png", 1],
      ["val/f0.png", 1],
      ["val\\f2.png", 1],
    ]);
  });

  it("two entries that fit equally well are a problem that names them", async () => {
    const { problems } = await pair(
      { "images/f0.png": picture(), "all.json": coco("a/f0.png", "b/f0.png") },
      { maskPath: join(root, "all.json") },
    );
    expect(problems[0]).toMatchObject({ code: "ERR_DUPLICATE_MASK", message: expect.stringContaining("a/f0.png, b/f0.png") });
  });
});

describe("predictions and true masks", () => {
  it.each([
    ["a_masks.png", "a_mask.png"],
    ["a_masks.png", "a_cp_masks.png"],
    ["a.png", "a_seg.npy"],
    ["a_cp_masks.tif", "a.tif"],
    ["a_masks.png", "a_img_cp_masks.png"],
  ])("truth %s, prediction %s", async (truth, prediction) => {
    const { names, codes } = await pair([`images/${prediction}`, `masks/${truth}`], { predictions: true });
    expect([names, codes]).toEqual([[`${prediction} ${truth}`], []]);
  });

  it("pictures beside the predictions are left out with a note", async () => {
    const { names, codes, notes } = await pair(
      ["images/a.tif", "images/a_cp_masks.png", "images/a_flows.tif", "masks/a_masks.png"],
      { predictions: true },
    );
    expect([names, codes]).toEqual([["a_cp_masks.png a_masks.png"], []]);
    expect(notes.join()).toContain("taken for pictures and left out: 1 (a.tif)");
  });
});
