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
 * Calls `run(row, from, to)` for the pixels of `counts` in an image of [height, width].
 * @throws CellsamError ERR_ANNOTATION when they do not fit
 */
export function fillRuns(
  counts: readonly number[],
  [height, width]: readonly [number, number],
  run: (row: number, from: number, to: number) => void,
): void {
  let at = 0;
  for (const [i, count] of counts.entries()) {
    if (!Number.isSafeInteger(count) || count < 0 || at + count > height * width)
      throw annotation(`its run lengths do not fit into ${height} x ${width} pixels`);
    if (i % 2 === 1) {
      for (let k = at; k < at + count; k++) {
        const column = Math.floor(k / height);
        run(k % height, column, column + 1);
      }
    }
    at += count;
  }
  if (at !== height * width) throw annotation(`its run lengths cover ${at} of ${height} x ${width} pixels`);
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
