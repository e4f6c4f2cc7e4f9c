/** What a command did to its files, as shim.c writes it down. */
import { readFileSync } from "node:fs";

/**
 * kind: "c" a file was made, "w" bytes were written at `at`, "t" a file got the length `at`, "s" a file or folder was flushed to
 * the disk, "r" renamed from `path` to `other`, "l" linked likewise, "m" a folder was made, "u" a name and "d" a folder removed.
 * `node` is the number of the file or folder in its file system.
 * @typedef {{ number: number, kind: string, node: number, at: number, path: string, other: string, bytes: Buffer }} Operation
 */

/** Operations in their order. @param {string} path @returns {Operation[]} */
export function readTrace(path) {
  const bytes = readFileSync(path);
  /** @type {Operation[]} */
  const operations = [];
  for (let place = 0; place < bytes.length; ) {
    const head = Array.from({ length: 7 }, (_, i) => Number(bytes.readBigInt64LE(place + 8 * i)));
    const [number = 0, kind = 0, node = 0, at = 0, ...lengths] = head;
    place += 56;
    const [path, other, content] = lengths.map((length) => {
      place += length;
      return bytes.subarray(place - length, place);
    });
    const texts = { path: String(path), other: String(other) };
    operations.push({ number, kind: String.fromCharCode(kind), node, at, ...texts, bytes: content ?? Buffer.alloc(0) });
  }
  return operations;
}

/**
 * Numbers of the operations that are worth a fault. Of writes to one file without another operation between them, these are the
 * first, the middle and the last.
 * @param {readonly Operation[]} operations
 */
export function tellingPlaces(operations) {
  /** @type {number[]} */
  const places = [];
  for (let first = 0; first < operations.length; ) {
    const { kind, node } = /** @type {Operation} */ (operations[first]);
    let next = first + 1;
    while (kind === "w" && operations[next]?.kind === "w" && operations[next]?.node === node) next += 1;
    const chosen = new Set([first, (first + next - 1) >> 1, next - 1]);
    for (const index of chosen) places.push(/** @type {Operation} */ (operations[index]).number);
    first = next;
  }
  return places;
}
