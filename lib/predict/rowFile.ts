/**
 * Rows of images in a file, one a line, of which only the places are in memory: a folder may have more cells than that has room
 * for. A killed process leaves the file, and with it what it knew.
 */
import { open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../files/folders.js";
import { strictJson } from "../files/json.js";
import { isRow, type PredictedImage } from "./scores.js";

export class RowFile {
  readonly #path: string;
  readonly #places = new Map<string, { start: number; bytes: number }>();
  #end = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Knows the rows that an earlier process has left, but for a last line that its end cut off. */
  async remember(): Promise<void> {
    const content = await readFile(this.#path).catch(() => Buffer.alloc(0));
    for (let start = 0, end = content.indexOf(10); end >= 0; start = end + 1, end = content.indexOf(10, start)) {
      const row = rowOf(content.toString("utf8", start, end));
      if (row) this.#places.set(row.image, { start, bytes: end - start });
      this.#end = end + 1;
    }
  }

  get size(): number {
    return this.#places.size;
  }

  has(image: string): boolean {
    return this.#places.has(image);
  }

  images(): IterableIterator<string> {
    return this.#places.keys();
  }

  async get(image: string): Promise<PredictedImage | undefined> {
    const place = this.#places.get(image);
    if (!place) return undefined;
    await using file = await open(this.#path);
    const { buffer } = await file.read(Buffer.alloc(place.bytes), 0, place.bytes, place.start);
    return rowOf(buffer.toString("utf8")) ?? undefined;
  }

  /** Replaces the row of the image. It is on the disk when this resolves. */
  async set(row: PredictedImage): Promise<void> {
    const line = Buffer.from(`${strictJson(row, 0)}\n`);
    // A line that was cut off, by a killed process or a full disk, is written over.
    const known = await open(this.#path, "r+").catch(() => null);
    await using file = known ?? (await open(this.#path, "w+"));
    await file.write(line, 0, line.length, this.#end);
    await file.datasync();
    if (!known) await syncFolder(dirname(this.#path));
    this.#places.set(row.image, { start: this.#end, bytes: line.length - 1 });
    this.#end += line.length;
  }
}

function rowOf(line: string): PredictedImage | null {
  try {
    const row: unknown = JSON.parse(line);
    return isRow(row) ? row : null;
  } catch {
    return null;
  }
}
