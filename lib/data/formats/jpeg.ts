/** JPEG through sharp (libjpeg-turbo): the decoded samples, without applying the colour profile. */
import type sharp from "sharp";
import { lazily } from "../../lazily.js";
import type { RawImage } from "../image.js";
import { broken, checkSize, unsupported } from "./limits.js";

const imaging = lazily<typeof sharp>("sharp");

/** Reads one JPEG, grey [H,W] or colour [H,W,3]. A file that ends early is refused, not filled with grey. */
export async function readJpeg(bytes: Uint8Array, maxPixels: number): Promise<RawImage> {
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8) throw broken("it is not a JPEG file");
  const open = () => imaging()(bytes, { failOn: "warning", ignoreIcc: true, limitInputPixels: false, sequentialRead: true });
  try {
    const meta = await open().metadata();
    checkSize(meta.height, meta.width, maxPixels);
    if (meta.channels !== 1 && meta.channels !== 3) throw unsupported("CMYK JPEG is not read; save it as RGB or PNG");
    const grey = meta.channels === 1;
    const { data, info } = await open()
      .toColourspace(grey ? "b-w" : "srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return {
      data: new Uint8Array(data.buffer, data.byteOffset, data.length),
      dtype: "uint8",
      shape: grey ? [info.height, info.width] : [info.height, info.width, info.channels],
      alpha: false,
      ...(meta.orientation !== undefined && { orientation: meta.orientation }),
      notes: ["JPEG is lossy: prefer PNG or TIFF for training"],
    };
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("ERR_IMAGE_")) throw error;
    throw broken(`the JPEG data is damaged (${(error as Error).message.trim()})`, error);
  }
}
