// Damaged annotation and image files, thousands of them, the same on every run: a coded error or a sound result, never anything else.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { objectLabels, openObjects } from "../../lib/data/annotationFile.js";
import { readBmp } from "../../lib/data/formats/bmp.js";
import { readCellpose } from "../../lib/data/formats/cellpose.js";
import { encodeNpy } from "../../lib/data/formats/npy.js";
import { readNpz } from "../../lib/data/formats/npz.js";
import { readTiff } from "../../lib/data/formats/tiff.js";
import { encodeTiff } from "../../lib/data/formats/tiffWriter.js";
import { Random } from "../../lib/data/random.js";
import { damaged } from "../damaged.mjs";

interface Sound {
  data: { length: number };
  shape: number[];
}

const limit = 2 ** 16;
const array = encodeNpy(
  Int32Array.from({ length: 20 }, (_, i) => i),
  [4, 5],
);

/** What numpy writes for {"masks": uint8 array of 2 x 3}, protocol 2. */
function cellpose(): Buffer {
  const header = "{'descr': '|O', 'fortran_order': False, 'shape': (), }".padEnd(117);
  const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  const pickle = `\x80\x02}q\0${text("masks")}cnumpy._core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\0\x85c_codecs\nencode\n${text("b")}${text("latin1")}\x86R\x87R(K\x01K\x02K\x03\x86cnumpy\ndtype\n${text("u1")}\x89\x88\x87R(K\x03${text("|")}NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89c_codecs\nencode\n${text("\x01\x00\x02\x00\x03\x00")}${text("latin1")}\x86Rtbs.`;
  return Buffer.concat([
    Buffer.from([0x93]),
    Buffer.from(`NUMPY\x01\0\x76\0${header}\n`, "latin1"),
    Buffer.from(pickle, "latin1"),
  ]);
}

const geojson = Buffer.from(
  JSON.stringify({
    type: "FeatureCollection",
    features: [
      {
        type: "Feature",
        geometry: {
          type: "Polygon",
          coordinates: [
            [
              [0, 0],
              [9, 0],
              [9, 9],
              [0, 9],
            ],
          ],
        },
        properties: { classification: { name: "Ignore*" } },
      },
      {
        type: "Feature",
        geometry: {
          type: "MultiPolygon",
          coordinates: [
            [
              [
                [2, 2],
                [5, 2.5],
                [4, 7],
              ],
            ],
          ],
        },
        properties: {},
      },
    ],
  }),
);
const coco = Buffer.from(
  JSON.stringify({
    images: [{ id: 1, file_name: "a.png", height: 8, width: 9 }],
    annotations: [
      { id: 1, image_id: 1, iscrowd: 0, segmentation: [[1, 1, 6, 1, 6, 5]] },
      { id: 2, image_id: 1, iscrowd: 1, segmentation: { size: [8, 9], counts: [10, 20, 42] } },
      { id: 3, image_id: 1, iscrowd: 0, segmentation: { size: [8, 9], counts: "5>e1" } },
    ],
  }),
);

/** A 24-bit bitmap of 3 x 2. */
function bitmap(): Buffer {
  const bytes = Buffer.alloc(54 + 24, 7);
  bytes.fill(0, 2, 54).write("BM", 0, "latin1");
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(3, 18);
  bytes.writeInt32LE(2, 22);
  bytes.writeUInt16LE(24, 28);
  return bytes;
}

const description =
  '<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1"></Pixels></Image></OME>';

/** Two pages of 4 x 5 that the description calls channels. */
function stack(): Buffer {
  const page = encodeTiff(
    Uint16Array.from({ length: 20 }, (_, i) => i * 300),
    4,
    5,
  );
  const count = page.readUInt16LE(8);
  const text = Buffer.from(`${description}\0`);
  const bytes = Buffer.concat([page, text, Buffer.alloc(2 * (6 + 12 * (count + 1)))]);
  let at = page.length + text.length;
  bytes.writeUInt32LE(at, 4);
  for (const last of [false, true]) {
    bytes.writeUInt16LE(count + 1, at);
    const entries = Array.from({ length: count }, (_, i) => page.subarray(10 + 12 * i, 22 + 12 * i));
    const extra = Buffer.alloc(12);
    extra.writeUInt16LE(270, 0);
    extra.writeUInt16LE(2, 2);
    extra.writeUInt32LE(text.length, 4);
    extra.writeUInt32LE(page.length, 8);
    const sorted = [...entries, extra].sort((a, b) => a.readUInt16LE(0) - b.readUInt16LE(0));
    Buffer.concat(sorted).copy(bytes, at + 2);
    const end = at + 2 + 12 * (count + 1);
    bytes.writeUInt32LE(last ? 0 : end + 4, end);
    at = end + 4;
  }
  return bytes;
}

const labelme = Buffer.from(
  JSON.stringify({
    shapes: [
      {
        label: "cell",
        shape_type: "polygon",
        points: [
          [1, 1],
          [6, 1],
          [6, 6],
          [1, 5],
        ],
      },
      {
        label: "cell",
        shape_type: "circle",
        points: [
          [8, 8],
          [10, 8],
        ],
      },
    ],
    imageHeight: 12,
    imageWidth: 11,
  }),
);
const cvat = Buffer.from(
  '<annotations><version>1.1</version><image id="0" name="a.png" width="11" height="12"><polygon label="c" points="1,1;6,1;6,6;1,5"/>' +
    '<mask label="c" rle="1, 2, 1, 3, 1" left="5" top="7" width="4" height="2"/><ellipse label="c" cx="3" cy="9" rx="2" ry="1"/></image></annotations>',
);
const yolo = Buffer.from("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.4\n1 0.6 0.6 0.9 0.6 0.9 0.9\n");

/** A freehand ROI of 4 points. */
function roi(): Buffer {
  const bytes = Buffer.alloc(80);
  bytes.write("Iout", 0, "latin1");
  bytes.writeUInt16BE(228, 4);
  bytes.writeUInt8(7, 6);
  for (const [i, value] of [2, 3, 8, 9].entries()) bytes.writeUInt16BE(value, 8 + 2 * i);
  bytes.writeUInt16BE(4, 16);
  for (const [i, value] of [0, 6, 6, 0, 0, 0, 6, 6].entries()) bytes.writeUInt16BE(value, 64 + 2 * i);
  return bytes;
}

const readers: [name: string, seed: Buffer, trials: number, read: (bytes: Buffer) => Promise<Sound> | Sound][] = [
  ["Cellpose", cellpose(), 1500, (bytes) => readCellpose(bytes, limit)],
  ["npz", Buffer.from(zipSync({ "masks.npy": array })), 400, (bytes) => readNpz(bytes, limit, "labels")],
  [
    "GeoJSON",
    geojson,
    1000,
    async (bytes) => objectLabels(await openObjects("a.geojson", bytes), { annotation: "geojson", size: [12, 11] }),
  ],
  [
    "COCO",
    coco,
    1000,
    async (bytes) => objectLabels(await openObjects("a.json", bytes), { annotation: "coco", item: "a.png" }),
  ],
  [
    "LabelMe",
    labelme,
    600,
    async (bytes) => objectLabels(await openObjects("a.json", bytes), { annotation: "labelme", size: [12, 11] }),
  ],
  ["CVAT", cvat, 600, async (bytes) => objectLabels(await openObjects("a.xml", bytes), { annotation: "cvat", item: "a.png" })],
  ["YOLO", yolo, 600, async (bytes) => objectLabels(await openObjects("a.txt", bytes), { annotation: "yolo", size: [12, 11] })],
  [
    "ImageJ ROI",
    roi(),
    600,
    async (bytes) => objectLabels(await openObjects("a.roi", bytes), { annotation: "imagej_roi", size: [12, 11] }),
  ],
  [
    "ImageJ ROIs in a zip",
    Buffer.from(zipSync({ "a.roi": roi(), "b.roi": roi() })),
    600,
    async (bytes) => objectLabels(await openObjects("a.zip", bytes), { annotation: "imagej_roi", size: [12, 11] }),
  ],
  ["BMP", bitmap(), 400, (bytes) => readBmp(bytes, limit)],
  ["TIFF of channels", stack(), 600, (bytes) => readTiff(bytes, limit, { channels: [0, 1] })],
];

describe("damaged files", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cellsam-fuzz-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each(readers)("%s: a coded error or a sound result", async (name, seed, trials, read) => {
    const whole = await read(seed);
    expect(whole.data.length).toBe(whole.shape.reduce((a, b) => a * b));
    const random = new Random(11);
    let refused = 0;
    for (let trial = 0; trial < trials; trial++) {
      const bytes = damaged(seed, random);
      try {
        const { data, shape } = await read(bytes);
        if (data.length !== shape.reduce((a, b) => a * b)) throw new Error(`${data.length} values for shape ${shape}`);
      } catch (error) {
        refused++;
        if (/^ERR_(IMAGE|ANNOTATION|LABEL)/.test((error as { code?: string }).code ?? "")) continue;
        await writeFile(join(folder, "case.bin"), bytes);
        expect.fail(`${name}, trial ${trial}: ${(error as Error).stack}`);
      }
    }
    // A reader that refuses nothing has not looked.
    expect(refused).toBeGreaterThan(trials / 10);
  });
});
