/**
 * Contrast and colours of channels. The server sends up to three channels in one picture, as its red, green and blue, each
 * stretched from 0 to 255 between the values it was asked for; the page maps those bytes to the colours that are shown. So a
 * slider is followed at once, and tiles of the new range, with all their grey values, follow when it rests.
 */
export interface Range {
  low: number;
  high: number;
}

export interface ChannelDisplay extends Range {
  visible: boolean;
  /** rrggbb */
  color: string;
}

/** Channels that travel in one picture. */
export const PLANES = 3;

/** Ten bits for each of red, green and blue: the sum of four channels cannot run over. */
const [RED, GREEN] = [20, 10];
const FIELD = 0x3ff;

/**
 * What each byte of a channel adds to the colour, its parts at bits 20, 10 and 0.
 * @param sent the values that byte 0 and 255 stand for
 */
export function lookup({ visible, color, low, high }: ChannelDisplay, sent: Range): Uint32Array {
  const table = new Uint32Array(256);
  if (!visible) return table;
  const rgb = Number.parseInt(color, 16);
  const [red, green, blue] = [rgb >> 16, (rgb >> 8) & 255, rgb & 255];
  const width = Math.max(high - low, Number.EPSILON);
  for (let byte = 0; byte < 256; byte++) {
    const value = sent.low + (byte / 255) * (sent.high - sent.low);
    const share = Math.max(0, Math.min(1, (value - low) / width));
    table[byte] = (Math.round(red * share) << RED) | (Math.round(green * share) << GREEN) | Math.round(blue * share);
  }
  return table;
}

/** Cuts each part of a sum at 255. */
function cut(sum: number): number {
  const red = Math.min(255, sum >>> RED);
  const green = Math.min(255, (sum >>> GREEN) & FIELD);
  return (red << RED) | (green << GREEN) | Math.min(255, sum & FIELD);
}

/**
 * Mixes the pictures of a tile, RGBA with three channels each, into `target`, RGBA too.
 * @param tables a lookup for each channel, three for each picture
 */
export function mix(pictures: readonly Uint8ClampedArray[], tables: readonly Uint32Array[], target: Uint8ClampedArray): void {
  const pixels = new Uint32Array(target.buffer, target.byteOffset, target.length / 4);
  const none = new Uint32Array(256);
  pictures.forEach((bytes, p) => {
    const [red = none, green = none, blue = none] = tables.slice(PLANES * p, PLANES * (p + 1));
    for (let i = 0, at = 0; i < pixels.length; i++, at += 4) {
      const before = p === 0 ? 0 : (pixels[i] as number);
      const added =
        (red[bytes[at] as number] as number) +
        (green[bytes[at + 1] as number] as number) +
        (blue[bytes[at + 2] as number] as number);
      pixels[i] = cut(before + added);
    }
  });
  // Little-endian RGBA.
  for (let i = 0; i < pixels.length; i++) {
    const sum = pixels[i] as number;
    pixels[i] = (0xff << 24) | ((sum & FIELD) << 16) | (((sum >>> GREEN) & FIELD) << 8) | (sum >>> RED);
  }
}
