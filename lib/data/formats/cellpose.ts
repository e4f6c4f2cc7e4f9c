/**
 * Reads the label map "masks" of Cellpose's `_seg.npy`, a pickled dict in a .npy file. The pickle is read by pickle.ts, never
 * executed.
 */
import type { CellsamError } from "../../errors.js";
import type { RawImage } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";
import { samplesOf, TYPES, toRowMajor } from "./npy.js";
import { PickledArray, readPickle, Skipped } from "./pickle.js";

/** Whether a .npy file holds pickled objects. */
export function isPickledNpy(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 256)).toString("latin1");
  return head.startsWith("\x93NUMPY") && /'descr'\s*:\s*'\|?O'/.test(head);
}

function refused(what: string, { name }: Skipped): CellsamError {
  return unsupported(`${what} would be made by what its pickle names ${name}, which is refused: only plain values are read`);
}

/** @throws CellsamError ERR_IMAGE_UNSUPPORTED, ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE */
export function readCellpose(bytes: Uint8Array, maxPixels: number): RawImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12) throw broken("it is cut off");
  const start = view.getUint8(6) >= 2 ? 12 + view.getUint32(8, true) : 10 + view.getUint16(8, true);
  if (start >= bytes.length) throw broken("it is cut off");
  let content = readPickle(bytes.subarray(start));
  if (content instanceof PickledArray) content = content.items?.[0];
  if (content instanceof Skipped) throw refused("its content", content);
  if (!(content instanceof Map)) throw unsupported("it holds pickled objects that are no Cellpose segmentation (a dict)");
  const masks: unknown = content.get("masks");
  if (masks instanceof Skipped) throw refused("its masks", masks);
  if (!(masks instanceof PickledArray) || !masks.dtype)
    throw unsupported('its dict has no array "masks", so it is no Cellpose segmentation');
  const { shape, dtype } = masks;
  const type = dtype.fields ? undefined : TYPES[dtype.code];
  if (!type || shape.length !== 2)
    throw unsupported(`its masks have type ${dtype.code} and ${shape.length} axes; 2 axes of integers are read`);
  const [height = 0, width = 0] = shape;
  checkSize(height, width, maxPixels);
  if (masks.bytes.length !== height * width * type.size)
    throw broken(
      `its masks have ${masks.bytes.length} bytes where ${height} x ${width} pixels need ${height * width * type.size}`,
    );
  const stored = samplesOf(masks.bytes, 0, height * width, type.dtype, dtype.bigEndian);
  return {
    data: masks.fortran ? toRowMajor(stored, shape) : stored,
    dtype: type.dtype,
    shape: [...shape],
    alpha: false,
    notes: [],
  };
}
