/**
 * What several processes find out about the images of one folder: a file for each image, written when it is known, and a plan
 * that says which images there are. The plan is the same for all of them, so that none works at something else by mistake.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { CellsamError } from "../errors.js";
import { textHash } from "./fileHash.js";
import { readChecked, writeChecked } from "./json.js";

/** What all processes must agree on. */
export interface PartsPlan<Settings extends object> {
  format: 1;
  package: string;
  /** In the order of the result. */
  images: string[];
  /** What the result depends on besides the images. */
  settings: Settings;
}

export class Parts<Part extends object, Settings extends object = object> {
  readonly folder: string;
  readonly #plan: string;

  constructor(folder: string) {
    this.folder = folder;
    this.#plan = join(folder, "plan.json");
  }

  /** The plan of the work that has begun; undefined where none has, or all of it is done. */
  async plan(): Promise<PartsPlan<Settings> | undefined> {
    return existsSync(this.#plan) ? readChecked<PartsPlan<Settings>>(this.#plan) : undefined;
  }

  /** Begins the work, or joins in. @throws CellsamError ERR_RESUME where it was begun with other images or settings */
  async begin(plan: PartsPlan<Settings>): Promise<void> {
    const begun = await this.plan();
    if (!begun) return writeChecked(this.#plan, plan);
    const now = JSON.parse(JSON.stringify(plan)) as PartsPlan<Settings>;
    const keys = [...new Set([...Object.keys(begun.settings), ...Object.keys(now.settings)])] as (keyof Settings)[];
    const changed = [
      ...(begun.package === now.package ? [] : [`package version (${begun.package}, now ${now.package})`]),
      ...(same(begun.images, now.images) ? [] : [`images (${begun.images.length}, now ${now.images.length})`]),
      ...keys.filter((key) => !same(begun.settings[key], now.settings[key])).map(String),
    ];
    if (changed.length === 0) return;
    const message = `${this.folder} holds the parts of other work, which differs in: ${changed.join(", ")}. Restore that, or remove the folder`;
    throw new CellsamError("ERR_RESUME", message, { detail: { path: this.folder, changed } });
  }

  has(image: string): boolean {
    return existsSync(this.#path(image));
  }

  /** undefined where it is not there, or damaged, and so to be made again. */
  async read(image: string): Promise<Part | undefined> {
    return this.has(image) ? readChecked<Part>(this.#path(image)).catch(() => undefined) : undefined;
  }

  write(image: string, part: Part): Promise<void> {
    return writeChecked(this.#path(image), part);
  }

  /** Those of `images` of which there is no part yet. */
  async missing(images: readonly string[]): Promise<string[]> {
    const there = new Set(await readdir(this.folder).catch(() => []));
    return images.filter((image) => !there.has(fileOf(image)));
  }

  /** Removes everything, the plan first: what a kill leaves is then known to be joined already. */
  async remove(): Promise<void> {
    await rm(this.#plan, { force: true });
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #path(image: string): string {
    return join(this.folder, fileOf(image));
  }
}

/** A name of 255 bytes would have no room for another ending; "plan.json" is the plan's. */
function fileOf(image: string): string {
  return `${Buffer.byteLength(image) > 240 ? textHash(image) : image}.part.json`;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** @throws CellsamError ERR_INCOMPLETE naming what is missing */
export function incomplete(folder: string, missing: readonly string[], all: number): CellsamError {
  const few = missing.slice(0, 3).join(", ") + (missing.length > 3 ? ", ..." : "");
  const message = `${folder}: ${missing.length} of ${all} images are not done yet (${few}); run their shards again with --resume`;
  return new CellsamError("ERR_INCOMPLETE", message, { detail: { path: folder, missing: [...missing] } });
}
