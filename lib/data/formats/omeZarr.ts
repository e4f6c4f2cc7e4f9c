/**
 * OME-Zarr images, versions 0.4 (Zarr 2) and 0.5 (Zarr 3): the highest resolution of the first multiscale image, or of its
 * labels. zarrita reads chunks; what they may be is checked here before.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DataType, Group, Array as ZarrArray } from "zarrita";
import type { DecodeOptions, RawImage, Samples } from "../image.js";
import { isObject, type Json, listOf } from "./json.js";
import { broken, checkSize, unsupported } from "./limits.js";
import { choosePages } from "./tiffAxes.js";
import { FolderStore, isZarr, limitCodecs, MOST_CHUNK_BYTES } from "./zarrStore.js";

type Zarr = typeof import("zarrita");
type Node = Group<FolderStore>;
type Stored = ZarrArray<DataType, FolderStore>;

/** Chunks that an image may consist of: 16384 x 16384 pixels in chunks of 64 x 64. */
const MOST_CHUNKS = 2 ** 16;

let loaded: Promise<Zarr> | undefined;
function zarrita(): Promise<Zarr> {
  loaded ??= import("zarrita").then((zarr) => {
    limitCodecs(zarr.registry as Map<string, () => unknown>);
    return zarr;
  });
  return loaded;
}

/** Whether an image has labels of its own. */
export function hasLabels(folder: string): boolean {
  return isZarr(join(folder, "labels")) || (existsSync(join(folder, "0")) && isZarr(join(folder, "0", "labels")));
}

/**
 * Reads the planes that `options` choose. `kind` "labels" takes the labels of an image where it has some; otherwise the image
 * itself is the label image.
 *
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED for several channels, slices or frames of which none is chosen, and for plates;
 * ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE
 */
export async function readOmeZarr(
  folder: string,
  maxPixels: number,
  options: DecodeOptions,
  kind: "image" | "labels",
): Promise<RawImage> {
  if (!isZarr(folder)) throw broken("it is no Zarr hierarchy: it has no zarr.json, .zattrs, .zgroup or .zarray");
  const zarr = await zarrita();
  const store = new FolderStore(folder);
  try {
    const node = await zarr.open(zarr.root(store));
    if (node.kind === "array") return await readArray(zarr, node as Stored, undefined, maxPixels, options, kind);
    const image = await imageOf(zarr, node);
    const chosen = kind === "labels" ? ((await labelsOf(zarr, image)) ?? image) : image;
    const [multiscale] = listOf(metadata(chosen).multiscales);
    const [dataset] = listOf(isObject(multiscale) ? multiscale.datasets : undefined);
    if (!isObject(multiscale) || !isObject(dataset) || typeof dataset.path !== "string")
      throw broken("its OME metadata name no multiscale image");
    const array = (await zarr.open(chosen.resolve(dataset.path), { kind: "array" })) as Stored;
    const raw = await readArray(zarr, array, multiscale.axes, maxPixels, options, kind);
    // Chunks of one value are left out when they are written, but an image of nothing is a damaged copy.
    if (store.found === 0 && kind === "image") throw broken("none of its chunks is there");
    return raw;
  } catch (error) {
    const { code, cause, name, message } = error as { code?: string; cause?: unknown; name?: string; message: string };
    const inner = (cause as { code?: string } | undefined)?.code;
    if (inner?.startsWith("ERR_IMAGE_")) throw cause;
    if (code?.startsWith("ERR_IMAGE_")) throw error;
    if (name === "UnsupportedError") throw unsupported(`its compression is not read (${message})`);
    throw broken(`the Zarr data is damaged (${message})`, error);
  }
}

/** OME's metadata: below "ome" since version 0.5. */
function metadata({ attrs }: Pick<Node, "attrs">): Json {
  return isObject(attrs.ome) ? attrs.ome : attrs;
}

/** The group of the image: the root, or the only one that Bio-Formats puts below it. */
async function imageOf(zarr: Zarr, root: Node): Promise<Node> {
  const attributes = metadata(root);
  if (attributes.multiscales !== undefined) return root;
  if (attributes.plate !== undefined || attributes.well !== undefined)
    throw unsupported("it is a plate of many fields; give a field's own folder");
  if (!("bioformats2raw.layout" in attributes)) throw unsupported("it has no OME metadata of a multiscale image");
  if (isZarr(join(root.store.folder, "1"))) throw unsupported("it holds several images; give the folder of one, such as 0");
  return zarr.open(root.resolve("0"), { kind: "group" }) as Promise<Node>;
}

async function labelsOf(zarr: Zarr, image: Node): Promise<Node | undefined> {
  const folder = join(image.store.folder, image.path, "labels");
  if (!isZarr(folder)) return undefined;
  const group = (await zarr.open(image.resolve("labels"), { kind: "group" })) as Node;
  const names = listOf(metadata(group).labels).filter((name) => typeof name === "string");
  if (names.length === 0) return undefined;
  if (names.length > 1)
    throw unsupported(
      `it has several label images (${names.join(", ")}); give one as mask_path, such as ${join(folder, names[0] as string)}`,
    );
  return zarr.open(group.resolve(names[0] as string), { kind: "group" }) as Promise<Node>;
}

/** Names of the axes, one letter each; up to version 0.3 they are t, c, z, y, x by position. */
function axesOf(axes: unknown, dimensions: number): string {
  const names = listOf(axes).map((axis) => (isObject(axis) ? axis.name : axis));
  const letters = names.length > 0 ? names.join("") : "tczyx".slice(5 - dimensions);
  if (letters.length !== dimensions || !/^[tcz]*yx$/.test(letters) || new Set(letters).size !== dimensions)
    throw unsupported(`its axes are ${names.join(", ") || `${dimensions} without names`}, where t, c, z, y, x are read`);
  return letters;
}

async function readArray(
  zarr: Zarr,
  array: Stored,
  axisNames: unknown,
  maxPixels: number,
  options: DecodeOptions,
  kind: "image" | "labels",
): Promise<RawImage> {
  const { shape, chunks, dtype } = array;
  const letters = axesOf(axisNames, shape.length);
  const size = (axis: string) => (letters.includes(axis) ? (shape[letters.indexOf(axis)] as number) : 1);
  const [height, width] = [size("y"), size("x")];
  checkSize(height, width, maxPixels);
  if (!/^(bool|u?int(8|16|32|64)|float(16|32|64))$/.test(dtype)) throw unsupported(`its samples are of the type ${dtype}`);
  const [channels, slices, frames] = [size("c"), size("z"), size("t")];
  if (kind === "labels" && options.slice === "max" && slices > 1)
    throw unsupported("its labels are a stack, of which the brightest value means nothing; choose a `slice` by number");
  const page = (c: number, z: number, t: number) => (t * slices + z) * channels + c;
  const pages = channels * slices * frames;
  const chosen = choosePages({ channels, slices, frames, page, pages, known: true }, options, kind);
  checkChunks(letters, chunks, dtype, [height, width], chosen.flat().length);
  const depth = letters.includes("z") ? (chunks[letters.indexOf("z")] as number) : 1;
  refuseShortChunks(array);
  const planes: Samples[] = [];
  for (const pages of chosen) {
    let plane: Samples | undefined;
    // Slices of one chunk are read together: each chunk is unpacked once.
    for (let i = 0; i < pages.length; ) {
      const first = pages[i] as number;
      const [c, z, t] = [first % channels, Math.floor(first / channels) % slices, Math.floor(first / channels / slices)];
      const many = Math.min(pages.length - i, depth - (z % depth));
      const position: Record<string, number> = { t, c };
      const selection = [...letters].map((axis) =>
        axis === "y" || axis === "x" ? null : axis === "z" ? zarr.slice(z, z + many) : (position[axis] as number),
      );
      const block = await zarr.get(array, selection);
      plane = brightest(plane, block as never, letters.includes("z") ? many : 1, height * width);
      i += many;
    }
    planes.push(plane as Samples);
  }
  const first = planes[0] as Samples;
  const raw = { dtype: dtype as string, alpha: false, notes: [] };
  if (channels === 1) return { ...raw, data: first, shape: [height, width] };
  const data = new (first.constructor as new (length: number) => Samples)(first.length * planes.length);
  for (const [c, plane] of planes.entries()) {
    for (let i = 0; i < plane.length; i++) data[i * planes.length + c] = plane[i] as number;
  }
  return { ...raw, data, shape: [height, width, planes.length], selected: true };
}

/** zarrita takes a chunk that was cut off for one whose last values are 0. */
function refuseShortChunks(array: Stored): void {
  const getChunk = array.getChunk.bind(array);
  array.getChunk = async (...position) => {
    const chunk = await getChunk(...position);
    const wanted = chunk.shape.reduce((product, side) => product * side, 1);
    if (chunk.data.length !== wanted)
      throw broken(`the chunk ${position[0].join(", ")} has ${chunk.data.length} values where ${wanted} belong`);
    return chunk;
  };
}

/** Refuses chunks that take more memory than any file needs, and so many that reading them has no end. */
function checkChunks(
  letters: string,
  chunks: readonly number[],
  dtype: string,
  [height, width]: readonly [number, number],
  planes: number,
): void {
  const bytes = chunks.reduce((product, side) => product * side, Number(/\d+$/.exec(dtype)?.[0] ?? 8) / 8);
  if (!chunks.every((side) => Number.isSafeInteger(side) && side >= 1) || !(bytes <= MOST_CHUNK_BYTES))
    throw broken(`its chunks have ${chunks.join(" x ")} values, more than ${MOST_CHUNK_BYTES} bytes`);
  const [high, wide] = ["y", "x"].map((axis) => chunks[letters.indexOf(axis)] as number) as [number, number];
  const count = Math.ceil(height / high) * Math.ceil(width / wide) * planes;
  if (count > MOST_CHUNKS)
    throw unsupported(`it consists of ${count} chunks, more than ${MOST_CHUNKS}; save it with larger ones`);
}

/** The larger value of each pixel of `plane` and the `depth` planes of a block, in C order. */
function brightest(
  plane: Samples | undefined,
  { data, stride }: { data: ArrayLike<number | bigint | boolean> & Iterable<unknown>; stride: number[] },
  depth: number,
  pixels: number,
): Samples {
  const values = samplesOf(data);
  if (stride.at(-1) !== 1 && pixels > 1) throw unsupported("its chunks are in column order");
  let out = plane;
  for (let z = 0; z < depth; z++) {
    const next = values.subarray(z * pixels, (z + 1) * pixels) as Samples;
    if (!out) out = next.slice() as Samples;
    else for (let i = 0; i < pixels; i++) if ((next[i] as number) > (out[i] as number)) out[i] = next[i] as number;
  }
  return out as Samples;
}

/** 64-bit integers and types that JavaScript has no array for are widened. */
function samplesOf(data: ArrayLike<number | bigint | boolean> & Iterable<unknown>): Samples {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const wide = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const value = Number(data[i]);
      if (!Number.isSafeInteger(value)) throw unsupported(`it holds the number ${data[i]}, which is too large`);
      wide[i] = value;
    }
    return wide;
  }
  const known = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
  if (known.some((type) => data instanceof type)) return data as unknown as Samples;
  const values = Float32Array.from(data as Iterable<number>, Number);
  return values.every((value) => value === 0 || value === 1) ? Uint8Array.from(values) : values;
}
