/**
 * ImageJ's RoiSet.zip: a .roi file for each cell. The layout of a .roi is the one that the class RoiDecoder of ImageJ documents;
 * all numbers are big-endian.
 */
import { CellsamError } from "../../errors.js";
import { writeChunks } from "../../files/writeAtomic.js";
import { lazily } from "../../lazily.js";
import { polygonsOf } from "./polygons.js";
import { type CellBox, cellBoxes, type Segmentation, sizeOf } from "./segmentation.js";

const zip = lazily<typeof import("fflate")>("fflate");

/** A zip archive without extensions counts its entries in 16 bits. */
const MOST = 65535;
/** Larger coordinates of 16 bits mean negative ones. */
const LONGEST_SIDE = 60535;
const HEADER = 64;
const VERSION = 227;
const COMPOSITE = 1;
const TRACED = 8;
const MOVE = 0;
const LINE = 1;
const CLOSE = 4;

/**
 * Writes a region for each cell, named by its id with leading zeros, such as 0017.roi: a traced region along the edges of its
 * pixels, or a composite one for a cell of several parts or with holes. One cell is in memory at a time.
 * @throws CellsamError ERR_LABEL_VALUES for more than 65535 cells or a side of more than 60535 pixels, ERR_FILE
 */
export async function writeRoiZip(path: string, cells: Segmentation): Promise<void> {
  const boxes = cellBoxes(cells.labels);
  const refuse = (what: string) => {
    const message = `${path} cannot hold ${what}: write GeoJSON or a label image instead`;
    return new CellsamError("ERR_LABEL_VALUES", message, { detail: { path } });
  };
  if (boxes.length > MOST) throw refuse(`${boxes.length} regions, it holds ${MOST}`);
  const side = Math.max(...sizeOf(cells.labels));
  if (side > LONGEST_SIDE) throw refuse(`regions of an image of ${side} pixels, its coordinates end at ${LONGEST_SIDE}`);
  await writeChunks(path, archive(cells, boxes));
}

function* archive({ labels }: Segmentation, boxes: readonly CellBox[]): Generator<Uint8Array> {
  const { Zip, ZipDeflate } = zip();
  let ready: Uint8Array[] = [];
  const out = new Zip((error, chunk) => {
    if (error) throw error;
    ready.push(chunk);
  });
  const digits = Math.max(4, String(boxes.at(-1)?.id ?? 0).length);
  for (const box of boxes) {
    const name = String(box.id).padStart(digits, "0");
    // Deflated: ImageJ's reader, which goes through the file from its start, refuses stored entries of unknown size.
    const entry = new ZipDeflate(`${name}.roi`);
    entry.mtime = "1980-01-01T00:00:00";
    out.add(entry);
    entry.push(encodeRoi(polygonsOf(labels, box), box, name), true);
    yield* ready;
    ready = [];
  }
  out.end();
  yield* ready;
}

/** The bytes of a .roi. @param name shown in ImageJ's list of regions */
function encodeRoi(polygons: readonly Int32Array[][], { x0, y0, x1, y1 }: CellBox, name: string): Uint8Array {
  const [only] = polygons;
  const simple = polygons.length === 1 && only?.length === 1 ? only[0] : undefined;
  const body = simple ? traced(simple, x0, y0) : composite(polygons.flat());
  const second = HEADER + body.length;
  const bytes = Buffer.alloc(second + HEADER + 2 * name.length);
  bytes.write("Iout", "latin1");
  bytes.writeUInt16BE(VERSION, 4);
  bytes[6] = simple ? TRACED : COMPOSITE;
  for (const [i, value] of [y0, x0, y1, x1].entries()) bytes.writeUInt16BE(value, 8 + 2 * i);
  const points = simple ? simple.length / 2 - 1 : 0;
  // More than 16 bits of points are counted in the 32 bits that follow.
  if (points <= MOST) bytes.writeUInt16BE(points, 16);
  else bytes.writeUInt32BE(points, 18);
  if (!simple) bytes.writeUInt32BE(body.length / 4, 36);
  bytes.writeUInt32BE(second, 60);
  body.copy(bytes, HEADER);
  bytes.writeUInt32BE(second + HEADER, second + 16);
  bytes.writeUInt32BE(name.length, second + 20);
  for (let i = 0; i < name.length; i++) bytes.writeUInt16BE(name.charCodeAt(i), second + HEADER + 2 * i);
  return bytes;
}

/** All columns of the corners, then all rows, from the upper left corner of the box. */
function traced(ring: Int32Array, x0: number, y0: number): Buffer {
  const points = ring.length / 2 - 1;
  const body = Buffer.alloc(4 * points);
  for (let i = 0; i < points; i++) {
    body.writeUInt16BE((ring[2 * i] as number) - x0, 2 * i);
    body.writeUInt16BE((ring[2 * i + 1] as number) - y0, 2 * (points + i));
  }
  return body;
}

/** Path segments as float32, each its kind and its point. Holes run the other way round, so either rule of filling leaves them out. */
function composite(rings: readonly Int32Array[]): Buffer {
  const values: number[] = [];
  for (const ring of rings) {
    for (let i = 0; i < ring.length - 2; i += 2) values.push(i === 0 ? MOVE : LINE, ring[i] as number, ring[i + 1] as number);
    values.push(CLOSE);
  }
  const body = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) body.writeFloatBE(value, 4 * i);
  return body;
}
