/** NumPy's .npz, a zip of .npy files: the image or label map is the array with a known name, or the only array. */
import type { RawImage } from "../image.js";
import { unsupported } from "./limits.js";
import { npyHeader, readNpy } from "./npy.js";
import { withZip } from "./zip.js";

const NAMES = { image: ["image", "img", "x"], labels: ["masks", "mask", "labels", "label", "y"] };

/** @throws CellsamError ERR_IMAGE_UNSUPPORTED when no array stands out, ERR_IMAGE_BROKEN, ERR_IMAGE_TOO_LARGE */
export function readNpz(bytes: Uint8Array, maxPixels: number, kind: "image" | "labels"): Promise<RawImage> {
  const isArray = (name: string) => name.endsWith(".npy");
  return withZip(bytes, ".npz", isArray, async (entries, content) => {
    const named = (name: string) => entries.find(({ fileName }) => fileName.toLowerCase() === `${name}.npy`);
    const chosen =
      NAMES[kind].map(named).find((entry) => entry !== undefined) ?? (entries.length === 1 ? entries[0] : undefined);
    if (!chosen) {
      const list = entries.map(({ fileName }) => fileName.slice(0, -4)).join(", ") || "none";
      throw unsupported(`it has no array named ${NAMES[kind].join(", ")}; its arrays are ${list}`);
    }
    // As for whole files: the most that a valid array of the allowed size can take. The header comes first: an archive of a
    // megabyte may say that it unpacks to gigabytes, and even do so.
    const most = maxPixels * 16 + 2 ** 26;
    return readNpy(await content(chosen, most, (start) => npyHeader(start, maxPixels)?.end), maxPixels);
  });
}
