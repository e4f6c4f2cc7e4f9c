/** What the images of a data set say together about the meaning of their colours. */

export interface ImageFacts {
  channels: 1 | 3;
  oneColour?: string | undefined;
}

/**
 * Warnings of images that were read as grey. A grey image in blue is CellSAM's own convention and gives the same pixels as grey.
 */
export function imageFindings(images: readonly ImageFacts[]): string[] {
  const shown = images.filter(({ oneColour }) => oneColour !== undefined && oneColour !== "blue");
  if (shown.length === 0) return [];
  const colours = [...new Set(shown.map(({ oneColour }) => oneColour))].join(", ");
  const keep = "channels: [0, 1, 2] keeps the colours";
  const others = images.some(({ channels }) => channels === 3)
    ? `other images have several colours, so that the channels of all differ: set channels, ${keep}`
    : keep;
  return [
    `${shown.length} of ${images.length} images hold one channel, shown in colour (${colours}), and are read as grey images: ${others}`,
  ];
}
