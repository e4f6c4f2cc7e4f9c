/**
 * TIFF and BigTIFF, and the formats that are TIFF inside (Zeiss .lsm, MetaMorph .stk, BigTIFF .btf): chooses the pages of the
 * channels, slice and frame that are wanted, and puts them together.
 */
import type { DecodeOptions, RawImage, Samples } from "../image.js";
import { broken, unsupported } from "./limits.js";
import { choosePages, pageAxes } from "./tiffAxes.js";
import { TiffDirectories } from "./tiffDirectories.js";
import { type Opened, openPixels, readContiguousPlane, readPage } from "./tiffPage.js";

/**
 * Reads one page, or the pages of the channels, slice and frame that `options` choose as [H,W,channels]. Smaller copies of an
 * image (pyramid levels, thumbnails) are not pages; planes that follow the first without a directory are.
 *
 * @param bytes the whole file
 * @param kind masks have no channels to choose, and no largest value over slices
 * @throws CellsamError ERR_IMAGE_UNSUPPORTED for several pages of which none is chosen, ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE
 */
export async function readTiff(
  bytes: Uint8Array,
  maxPixels: number,
  options: DecodeOptions = {},
  kind: "image" | "labels" = "image",
): Promise<RawImage> {
  try {
    const file = new TiffDirectories(bytes);
    const pages = file.directories.filter((directory) => (file.number(directory, 254, 0) & 1) === 0);
    const first = pages[0];
    if (!first) throw unsupported("page 0 was asked for, the file has 0: all its directories are reduced copies");
    const axes = pageAxes(file, first, pages.length);
    const total = Math.max(axes.pages, pages.length);
    let opened: Opened | undefined;
    const ofDirectory = async (page: (typeof pages)[number]) => {
      opened ??= await openPixels(bytes);
      return readPage(opened, bytes.length, file, page, maxPixels);
    };
    const read = async (at: number): Promise<RawImage> => {
      if (at >= total) throw unsupported(`page ${at} was asked for, the file has ${total}`);
      if (axes.inSamples) return sample(await ofDirectory(first), at);
      const page = pages[at];
      if (pages.length === total && page) return ofDirectory(page);
      const plane = readContiguousPlane(bytes, file, first, { index: at, count: total, maxPixels });
      if (plane) return plane;
      if (options.page === 0) return ofDirectory(first);
      throw unsupported(
        `its header lists ${total} planes, but it has one directory, behind which the others do not lie: export it again, or set \`page: 0\` to take the first`,
      );
    };
    if (options.page !== undefined) return axes.inSamples ? await ofDirectory(first) : await read(options.page);
    if (total <= 1) return await read(0);
    const chosen = choosePages(axes, options, kind);
    const planes: RawImage[] = [];
    for (const stack of chosen) {
      let plane: RawImage | undefined;
      for (const at of stack) plane = plane ? largest(plane, await read(at)) : await read(at);
      planes.push(plane as RawImage);
    }
    return chosen.length > 1 || (axes.channels > 1 && options.channels !== undefined && kind === "image")
      ? interleaved(planes)
      : (planes[0] as RawImage);
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("ERR_IMAGE_")) throw error;
    throw broken(`the TIFF data is damaged (${(error as Error).message})`, error);
  }
}

/** One sample of every pixel, [H,W]. */
function sample(raw: RawImage, at: number): RawImage {
  const [height = 0, width = 0, samples = 1] = raw.shape;
  const data = raw.data.slice(0, height * width);
  for (let i = 0; i < data.length; i++) data[i] = raw.data[i * samples + at] as number;
  return { ...raw, data, shape: [height, width], alpha: false };
}

function sameKind(a: RawImage, b: RawImage): void {
  if (a.shape.join() !== b.shape.join() || a.dtype !== b.dtype || a.palette)
    throw unsupported("its pages differ in size or sample type, or are coloured; choose one with `page`");
}

/** The larger value of each sample. */
function largest(a: RawImage, b: RawImage): RawImage {
  sameKind(a, b);
  return { ...a, data: a.data.map((value, i) => Math.max(value, b.data[i] ?? 0)) as Samples };
}

/** Planes [H,W] to [H,W,C]. */
function interleaved(planes: RawImage[]): RawImage {
  const first = planes[0] as RawImage;
  for (const plane of planes) sameKind(first, plane);
  if (first.shape.length !== 2)
    throw unsupported("its pages differ in size or sample type, or are coloured; choose one with `page`");
  const data = new (first.data.constructor as new (length: number) => Samples)(first.data.length * planes.length);
  for (const [c, plane] of planes.entries()) {
    for (let i = 0; i < plane.data.length; i++) data[i * planes.length + c] = plane.data[i] ?? 0;
  }
  return { ...first, data, shape: [...first.shape, planes.length], selected: true };
}
