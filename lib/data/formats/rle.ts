/** COCO's run lengths: counts of 0, 1, 0, 1, ... down the columns, as a list or compressed into text. */
import { annotation } from "./limits.js";

/**
 * Decompresses the text form. Each character, counted from "0", has 5 bits of a number, lowest first; its sixth bit is set when
 * more characters follow, and the fifth bit of the last one is the sign. From the fourth count on, the difference to the count
 * two before is stored.
 */
export function unpackCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let scale = 1;
    for (let more = true; more; ) {
      const bits = text.charCodeAt(at++) - 48;
      if (!(bits >= 0 && bits < 64))
        throw annotation("its compressed run lengths are cut off or hold a character that does not belong there");
      value += (bits & 31) * scale;
      scale *= 32;
      if (scale > 2 ** 50) throw annotation("its compressed run lengths hold a number that is too large");
      more = (bits & 32) !== 0;
      if (!more && (bits & 16) !== 0) value -= scale;
    }
    if (counts.length > 2) value += counts[counts.length - 2] ?? 0;
    counts.push(value);
  }
  return counts;
}

/**
 * The pixels of `counts` in an image of [height, width], as rows [row, from, to, ...].
 *
 * @param spend called with the number of pixels of the box around them, before it is searched
 * @throws CellsamError ERR_ANNOTATION when they do not fit
 */
export function rowsOfRuns(
  counts: readonly unknown[],
  [height, width]: readonly [number, number],
  spend: (pixels: number) => void = () => undefined,
): Int32Array {
  // The columns from..to-1 and rows top..bottom-1 that hold pixels: only they are turned from columns into rows.
  let [at, from, to, top, bottom] = [0, width, 0, height, 0];
  for (const [i, count] of counts.entries()) {
    if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0 || at + count > height * width)
      throw annotation(`its run lengths do not fit into ${height} x ${width} pixels`);
    if (i % 2 === 1 && count > 0) {
      from = Math.min(from, Math.floor(at / height));
      to = Math.max(to, Math.floor((at + count - 1) / height) + 1);
      const wraps = (at % height) + count > height;
      top = wraps ? 0 : Math.min(top, at % height);
      bottom = wraps ? height : Math.max(bottom, (at % height) + count);
    }
    at += count;
  }
  if (at !== height * width) throw annotation(`its run lengths cover ${at} of ${height} x ${width} pixels`);
  if (from >= to) return new Int32Array(0);
  // A map of the box, column by column.
  const high = bottom - top;
  spend((to - from) * high);
  const map = new Uint8Array((to - from) * high);
  at = 0;
  for (const [i, count] of (counts as readonly number[]).entries()) {
    if (i % 2 === 1 && count > 0) {
      // A run that goes on in the next column makes the box as high as the image: its columns then follow each other.
      const start = (Math.floor(at / height) - from) * high + (at % height) - top;
      map.fill(1, start, start + count);
    }
    at += count;
  }
  const rows: number[] = [];
  for (let row = 0; row < high; row++) {
    let start = -1;
    for (let column = 0; column <= to - from; column++) {
      const filled = column < to - from && map[column * high + row] === 1;
      if (filled && start < 0) start = column;
      if (!filled && start >= 0) {
        rows.push(top + row, from + start, from + column);
        start = -1;
      }
    }
  }
  return Int32Array.from(rows);
}

/** The text that `unpackCounts` takes, letter by letter as pycocotools writes it. */
export function packCounts(counts: readonly number[]): string {
  const letters: number[] = [];
  for (const [i, count] of counts.entries()) {
    let value = i > 2 ? count - (counts[i - 2] as number) : count;
    for (let more = true; more; ) {
      const bits = ((value % 32) + 32) % 32;
      value = Math.floor(value / 32);
      more = (bits & 16) === 0 ? value !== 0 : value !== -1;
      letters.push(48 + bits + (more ? 32 : 0));
    }
  }
  return String.fromCharCode(...letters);
}
