/**
 * ImageJ's regions of interest: .roi, and the .zip of them that the ROI Manager writes. The format is described in the comments
 * of ImageJ's RoiDecoder: a header of 64 bytes, big-endian; then whole coordinates relative to the bounding rectangle, and after
 * them, where the file says so, exact ones.
 */
import type { AnnotationFile, DrawnObject } from "../objects.js";
import { broken } from "./limits.js";
import { ellipse, flatRing, outlined, type RingOrSlip, rectangle } from "./rings.js";
import { withZip } from "./zip.js";

export interface NamedRoi {
  name: string;
  bytes: Buffer;
}

const TYPES = ["polygon", "rectangle", "oval", "line", "freeline", "polyline", "none", "freehand", "traced", "angle", "point"];
const SUB_PIXEL = 128;
const HEADER = 64;
const MOST_BYTES = 2 ** 25;
const MOST_ROIS = 200_000;
const MOST_TOTAL = 2 ** 28;

/** The .roi files of an archive; none for an archive of other files. @throws CellsamError ERR_IMAGE_BROKEN */
export function roisOfZip(bytes: Buffer): Promise<NamedRoi[]> {
  const isRoi = (name: string) => /\.roi$/i.test(name) && !/(^|\/)(\._|__MACOSX)/.test(name);
  return withZip(bytes, "ROI", isRoi, async (entries, content) => {
    const total = entries.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
    if (entries.length > MOST_ROIS || total > MOST_TOTAL)
      throw broken(`it declares ${entries.length} ROIs of ${total} bytes, more than ${MOST_ROIS} or ${MOST_TOTAL}`);
    const rois: NamedRoi[] = [];
    for (const entry of entries)
      rois.push({ name: entry.fileName.replace(/\.roi$/i, ""), bytes: await content(entry, MOST_BYTES) });
    return rois;
  });
}

export function isRoi(bytes: Buffer): boolean {
  return bytes.length >= HEADER && bytes.toString("latin1", 0, 4) === "Iout";
}

export function parseRois(rois: readonly NamedRoi[]): AnnotationFile {
  const slices = new Set<number>();
  const objects = rois.map(({ name, bytes }) => {
    if (!isRoi(bytes)) return { name, slips: ["broken" as const] };
    // 0: on all slices.
    const slice = bytes.readInt32BE(56);
    if (slice > 0) slices.add(slice);
    try {
      return drawn(name, bytes);
    } catch (error) {
      if (error instanceof RangeError) return { name, slips: ["broken" as const] }; // cut off
      throw error;
    }
  });
  const notes = slices.size > 1 ? [`its objects were drawn on ${slices.size} slices of a stack, and all were taken`] : [];
  return { drawing: () => ({ objects, notes }) };
}

function drawn(name: string, bytes: Buffer): DrawnObject {
  const version = bytes.readUInt16BE(4);
  const type = TYPES[bytes.readUInt8(6)] ?? "unknown";
  const [top, left, bottom, right] = [8, 10, 12, 14].map((at) => side(bytes, at)) as [number, number, number, number];
  const exact = version >= 222 && (bytes.readUInt16BE(50) & SUB_PIXEL) !== 0;
  const second = bytes.readInt32BE(60);
  const group = second >= HEADER && second + 31 <= bytes.length ? bytes.readUInt8(second + 30) : 0;
  const object: DrawnObject = { name, ...(group > 0 && { category: `group ${group}`, categoryId: String(group) }) };
  const floats = bytes.readInt32BE(36);
  if (floats > 0) return outlined(object, [pathOf(bytes, floats)]);
  if (type === "rectangle" || type === "oval") {
    const box =
      exact && version >= 223 ? [18, 22, 26, 30].map((at) => bytes.readFloatBE(at)) : [left, top, right - left, bottom - top];
    const [x, y, w, h] = box as [number, number, number, number];
    if (!(w > 0 && h > 0)) return { ...object, slips: ["fewPoints"] };
    return type === "oval"
      ? outlined(object, [[ellipse(x + w / 2, y + h / 2, w / 2, h / 2)]])
      : outlined(object, [[rectangle(x, y, x + w, y + h)]], ["rectangle"]);
  }
  if (!["polygon", "freehand", "traced"].includes(type))
    return { ...object, slips: [type === "unknown" ? "broken" : "noArea"] };
  // Many points are counted where the corners of a line would be.
  const count = bytes.readUInt16BE(16) || bytes.readInt32BE(18);
  if (count < 0 || HEADER + count * (exact ? 12 : 4) > bytes.length) return { ...object, slips: ["broken"] };
  const ring: number[] = [];
  for (let i = 0; i < count; i++) {
    if (exact) ring.push(bytes.readFloatBE(HEADER + 4 * count + 4 * i), bytes.readFloatBE(HEADER + 8 * count + 4 * i));
    else ring.push(left + bytes.readUInt16BE(HEADER + 2 * i), top + bytes.readUInt16BE(HEADER + 2 * count + 2 * i));
  }
  return outlined(object, [[flatRing(ring, { found: false })]]);
}

/** Sides are signed, but ImageJ takes values below -5000 for large ones. */
function side(bytes: Buffer, at: number): number {
  const value = bytes.readInt16BE(at);
  return value < -5000 ? value + 65536 : value;
}

/** How many numbers follow each command of a path: move, line, two kinds of curves, close. */
const ARGUMENTS = [2, 2, 4, 6, 0];
const CURVE_STEPS = 8;

/** A composite shape as a path of `count` numbers. Its rings are holes in each other by the even-odd rule. */
function pathOf(bytes: Buffer, count: number): RingOrSlip[] {
  if (HEADER + 4 * count > bytes.length) return ["broken"];
  const value = (i: number) => bytes.readFloatBE(HEADER + 4 * i);
  const rings: number[][] = [];
  let ring: number[] = [];
  for (let i = 0; i < count; ) {
    const command = value(i++);
    const needed = ARGUMENTS[command];
    if (needed === undefined || i + needed > count) return ["broken"];
    const numbers = Array.from({ length: needed }, (_, k) => value(i + k));
    i += needed;
    if (command === 0) {
      if (ring.length > 0) rings.push(ring);
      ring = [];
    }
    if (command <= 1) ring.push(...numbers);
    else if (command < 4) ring.push(...curve([...ring.slice(-2), ...numbers]));
  }
  if (ring.length > 0) rings.push(ring);
  const sound = rings.map((points) => flatRing(points, { found: false })).filter((points) => points !== "fewPoints");
  return sound.length > 0 ? sound : ["fewPoints"];
}

/** Points of a Bezier curve of 3 or 4 control points, without the first (de Casteljau). */
function curve(control: readonly number[]): number[] {
  const points: number[] = [];
  for (let step = 1; step <= CURVE_STEPS; step++) {
    const t = step / CURVE_STEPS;
    let level = [...control];
    while (level.length > 2) level = level.slice(2).map((value, i) => (1 - t) * (level[i] as number) + t * value);
    points.push(...level);
  }
  return points;
}
