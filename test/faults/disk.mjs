/**
 * What a power failure can leave of a folder. A write is certain when its file was flushed afterwards, and a name (made, renamed
 * or removed) when the folder that it is in was; all else may be lost, each for itself. Real file systems lose less.
 */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** @typedef {import("./trace.mjs").Operation} Operation */

/**
 * What became of the changes that are not certain: all are lost; the names are there, without what was written; likewise, with
 * zeros in its place; each is there or not by `chance`; or all are there.
 * @typedef {"lost" | "names" | "zeros" | "all" | { chance: () => boolean }} Loss
 */

class File {
  /** Changes since the last flush. @type {Operation[]} */
  pending = [];

  /** @param {Buffer} flushed */
  constructor(flushed = Buffer.alloc(0)) {
    this.flushed = flushed;
  }

  flush() {
    this.flushed = this.content("all");
    this.pending = [];
  }

  /** @param {Loss} loss */
  content(loss) {
    let bytes = this.flushed;
    const resize = (/** @type {number} */ size) => {
      bytes = size <= bytes.length ? Buffer.from(bytes.subarray(0, size)) : Buffer.concat([bytes], size);
    };
    if (loss === "lost" || loss === "names" || this.pending.length === 0) return bytes;
    bytes = Buffer.from(bytes);
    for (const { kind, at, bytes: written } of this.pending) {
      if (typeof loss === "object" && !loss.chance()) continue;
      if (kind === "t") resize(at);
      else if (at + written.length > bytes.length) resize(at + written.length);
      if (loss !== "zeros") written.copy(bytes, at);
    }
    return bytes;
  }
}

class Folder {
  /** @type {Map<string, File | Folder>} */
  names = new Map();
  /** @type {Map<string, File | Folder>} */
  flushed = new Map();
  /** Changes since the last flush: names that were given, or taken away. @type {Map<string, File | Folder | null>[]} */
  pending = [];

  /** @param {Record<string, File | Folder | null>} change */
  change(change) {
    for (const [name, node] of Object.entries(change)) node ? this.names.set(name, node) : this.names.delete(name);
    this.pending.push(new Map(Object.entries(change)));
  }

  flush() {
    this.flushed = new Map(this.names);
    this.pending = [];
  }

  /** @param {Loss} loss */
  content(loss) {
    if (loss === "lost") return this.flushed;
    const names = new Map(this.flushed);
    for (const change of this.pending) {
      if (typeof loss === "object" && !loss.chance()) continue;
      for (const [name, node] of change) node ? names.set(name, node) : names.delete(name);
    }
    return names;
  }
}

export class Disk {
  /** By number in the file system. @type {Map<number, File | Folder>} */
  #nodes = new Map();

  /** A folder as it is now, all of it certain. @param {string} root */
  constructor(root) {
    this.root = root;
    this.folder = this.#read(root);
  }

  /** @param {string} path */
  #read(path) {
    const folder = new Folder();
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inside = join(path, entry.name);
      const node = entry.isDirectory() ? this.#read(inside) : this.#keep(inside, new File(readFileSync(inside)));
      folder.change({ [entry.name]: node });
    }
    folder.flush();
    return this.#keep(path, folder);
  }

  /** @template {File | Folder} N @param {string} path @param {N} node @returns {N} */
  #keep(path, node) {
    const number = statSync(path).ino;
    const known = this.#nodes.get(number);
    if (known) return /** @type {N} */ (known);
    this.#nodes.set(number, node);
    return node;
  }

  /** @param {string} path */
  #folderOf(path) {
    const way = relative(this.root, dirname(path)).split("/").filter(Boolean);
    /** @type {File | Folder | undefined} */
    let folder = this.folder;
    for (const name of way) folder = folder instanceof Folder ? folder.names.get(name) : undefined;
    if (!(folder instanceof Folder)) throw new Error(`${path} is in no folder that is known`);
    return folder;
  }

  /** @param {Operation} operation */
  apply(operation) {
    const { kind, node: number, path, other } = operation;
    const node = this.#nodes.get(number);
    const name = basename(path);
    if (kind === "c" || kind === "m") {
      const made = kind === "c" ? new File() : new Folder();
      this.#nodes.set(number, made);
      this.#folderOf(path).change({ [name]: made });
    } else if (kind === "w" || kind === "t") {
      if (node instanceof File) node.pending.push(operation);
    } else if (kind === "s") node?.flush();
    else if (kind === "u" || kind === "d") this.#folderOf(path).change({ [name]: null });
    else {
      const from = this.#folderOf(path);
      const to = this.#folderOf(other);
      const moved = from.names.get(name);
      if (!moved) throw new Error(`${path} is not known`);
      // Two names of one file: the system does nothing.
      if (kind === "r" && to.names.get(basename(other)) === moved) return;
      const given = { [basename(other)]: moved };
      if (kind === "l") to.change(given);
      else if (from === to) to.change({ [name]: null, ...given });
      else {
        to.change(given);
        from.change({ [name]: null });
      }
    }
  }

  /** Names and contents of all files after a power failure. @param {Loss} loss */
  after(loss) {
    /** @type {Map<File, Buffer>} */
    const contents = new Map();
    /** @type {{ path: string, file: File | null, bytes: Buffer }[]} */
    const found = [];
    const visit = (/** @type {Folder} */ folder, /** @type {string} */ path) => {
      for (const [name, node] of [...folder.content(loss)].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const inside = join(path, name);
        if (node instanceof Folder) {
          found.push({ path: inside, file: null, bytes: Buffer.alloc(0) });
          visit(node, inside);
          continue;
        }
        const bytes = contents.get(node) ?? node.content(loss);
        contents.set(node, bytes);
        found.push({ path: inside, file: node, bytes });
      }
    };
    visit(this.folder, "");
    return new Remains(found);
  }
}

class Remains {
  #found;

  /** @param {{ path: string, file: File | null, bytes: Buffer }[]} found */
  constructor(found) {
    this.#found = found;
  }

  /** SHA-256 of names and contents. */
  get hash() {
    const hash = createHash("sha256");
    for (const { path, file, bytes } of this.#found) hash.update(`${path}\0${file ? bytes.length : "folder"}\0`).update(bytes);
    return hash.digest("hex");
  }

  /** Makes `root` hold these files and nothing else. @param {string} root */
  writeTo(root) {
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
    /** @type {Map<File, string>} */
    const written = new Map();
    for (const { path, file, bytes } of this.#found) {
      const target = join(root, path);
      const same = file && written.get(file);
      if (!file) mkdirSync(target);
      else if (same) linkSync(same, target);
      else writeFileSync(target, bytes);
      if (file) written.set(file, target);
    }
  }
}
