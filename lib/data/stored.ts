/** Turns stored samples into what measurements take: channels last, colours looked up, values as they are. */
import type { RawImage, StoredImage } from "./image.js";
import { channelsLast, isChannelsFirst, takeChannels } from "./pixels.js";

/** @param chosen whether the settings choose channels, which are then looked for first too (pixels.ts) */
export function toStored({ data, dtype, shape, alpha, palette, selected, notes }: RawImage, chosen = false): StoredImage {
  if (palette) {
    const colours = Uint8Array.from({ length: data.length * 3 }, (_, i) => {
      return palette[(data[Math.floor(i / 3)] as number) * 3 + (i % 3)] ?? 0;
    });
    return { data: colours, dtype: "uint8", shape: [...shape, 3], notes };
  }
  if (shape.length === 3 && !selected && isChannelsFirst(shape, chosen)) {
    const [channels = 1, height = 1, width = 1] = shape;
    return { data: channelsLast(data, shape), dtype, shape: [height, width, channels], notes };
  }
  const [height = 0, width = 0, channels = 1] = shape;
  if (!alpha) return { data, dtype, shape, notes };
  return { data: takeChannels(data, channels, channels - 1), dtype, shape: [height, width, channels - 1], notes };
}
